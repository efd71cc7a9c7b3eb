/** What a role needs that runs the service and owns nothing. */
import pg from 'pg'

/** A name as SQL writes it, in quotes where it needs them. */
export const sqlName = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : pg.escapeIdentifier(name))

/** The grants, for people. docs/operations.md explains them. */
export const grantsFor = (role: string): string =>
  `grant usage on schema holdfast, holdfast_jobs to ${role}; ` +
  `grant select, insert, update, delete on all tables in schema holdfast, holdfast_jobs to ${role}; ` +
  `grant usage, select on all sequences in schema holdfast to ${role}; ` +
  `grant execute on all functions in schema holdfast, holdfast_jobs to ${role};`

// The table of migrations is only read. Functions are everybody's, unless the owner has taken that away
// by its default privileges.
const lackingQuery = `
  select n.nspname || '.' || c.relname as name
  from pg_class c
  join pg_namespace n on n.oid = c.relnamespace
  where n.nspname in ('holdfast', 'holdfast_jobs')
    and c.relkind in ('r', 'p', 'S')
    and not case
      when not has_schema_privilege(n.oid, 'usage') then false
      when c.relkind = 'S' then exists (select from pg_depend where objid = c.oid and deptype in ('a', 'i'))
        or (has_sequence_privilege(c.oid, 'usage') and has_sequence_privilege(c.oid, 'select'))
      when c.relname = 'migrations' then has_table_privilege(c.oid, 'select')
      else has_table_privilege(c.oid, 'select')
        and has_table_privilege(c.oid, 'insert')
        and has_table_privilege(c.oid, 'update')
        and has_table_privilege(c.oid, 'delete')
    end
  union all
  select p.oid::regprocedure::text
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  where n.nspname in ('holdfast', 'holdfast_jobs')
    and p.prorettype <> 'trigger'::regtype
    and not has_function_privilege(p.oid, 'execute')
  order by name`

// Some providers turn row-level security on for each new table. It hides all rows from everybody but
// the owner, without an error.
const hidingQuery = `
  select c.oid::regclass::text as name
  from pg_class c
  where c.relnamespace in (to_regnamespace('holdfast'), to_regnamespace('holdfast_jobs'))
    and c.relrowsecurity
    and row_security_active(c.oid)
  order by name`

/** The tables whose row-level security is in force for the role of this connection. */
export async function findHiding(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(hidingQuery)
  return rows.map(({ name }) => name)
}

/** How the owner shows their rows. */
export const showRows = (tables: string[]): string =>
  tables.map(name => `alter table ${name} disable row level security, no force row level security;`).join(' ')

/** The tables, sequences and functions on which the role of this connection lacks rights. */
export async function findLacking(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(lackingQuery)
  return rows.map(({ name }) => name)
}
