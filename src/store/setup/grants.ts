/** What a role needs that runs the service and owns nothing. */
import pg from 'pg'

/** A name as SQL writes it, in quotes where it needs them. */
export const sqlName = (name: string) => (/^[a-z_][a-z0-9_]*$/.test(name) ? name : pg.escapeIdentifier(name))

/** The grants, for people. docs/operations.md explains them. */
export const grantsFor = (role: string): string =>
  `grant usage on schema holdfast, holdfast_jobs to ${role}; ` +
  `grant select, insert, update, delete on all tables in schema holdfast, holdfast_jobs to ${role}; ` +
  `grant usage, select on all sequences in schema holdfast to ${role};`

// The table of migrations is only read.
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
  order by name`

/** The tables and sequences on which the role of this connection lacks rights. */
export async function findLacking(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(lackingQuery)
  return rows.map(({ name }) => name)
}
