/** A service whose role owns nothing and may create nothing, after another role has migrated. */
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { migrateDatabase, readDoctorFacts } from '../../src/databaseTasks.ts'
import { startService } from '../../src/service.ts'
import { judge } from '../../src/cli/doctor/judge.ts'
import { connect, freshDatabase } from '../support/postgres.ts'
import { service, serviceProcess } from '../support/service.ts'
import { runThroughVerbs } from '../support/steps.ts'

/** A database for two roles, `owner` and `app`, of names that no other test uses. */
async function twoRoles(t: Test) {
  const { url, name } = await freshDatabase(t, { migrated: false })
  const sql = new pg.Client(url)
  await sql.connect()
  const [owner, app] = [`owner_${name}`, `app_${name}`]
  await sql.query(`create role ${owner} login; create role ${app} login`)
  t.teardown(async () => {
    try {
      for (const role of [app, owner]) await sql.query(`drop owned by ${role} cascade; drop role ${role}`)
    } finally {
      await sql.end()
    }
  })
  const as = (role: string) => ({ url: url.replace('//holdfast@', `//${role}@`) })
  const config = (role: string) =>
    readConfig({ HOLDFAST_DATABASE_URL: as(role).url, HOLDFAST_PORT: '0', HOLDFAST_LOG_LEVEL: 'silent' })
  const refusal = async () => {
    try {
      await (await startService(config(app), () => {})).stop()
      return 'none'
    } catch (error) {
      return (error as Error).message
    }
  }
  const checks = async () =>
    Object.fromEntries(
      judge(await readDoctorFacts(config(app)), config(app), {
        replicas: 0,
        filesMax: null,
        heldBounds: null
      }).map(check => [check.name, check])
    )
  return { sql, name, owner, app, as, config, refusal, checks }
}

/** The block of docs/operations.md that grants. */
async function documentedGrants(): Promise<string> {
  return /```text\n(grant usage[^]*?)```/.exec(await readFile('docs/operations.md', 'utf8'))![1]!
}

t.test(
  'a role without a right to create serves once another has migrated, with the documented grants',
  async t => {
    const { sql, name, owner, app, as, config, refusal, checks } = await twoRoles(t)
    t.match(
      await refusal(),
      `The schema of Holdfast is not made yet, and the role ${app} may not do that ` +
        `(permission denied for database ${name}). Run holdfast migrate as another role, and then as that ` +
        `role: grant usage on schema holdfast, holdfast_jobs to ${app};`
    )
    await sql.query(`grant create on database ${name} to ${owner}`)
    t.ok((await migrateDatabase(config(owner))).includes('api.sql'))
    await sql.query(`revoke create on database ${name} from ${owner}`)
    t.strictSame(await migrateDatabase(config(owner)), [], 'nor does the owner need it any more')
    t.match(
      await refusal(),
      new RegExp(`^The role ${app} lacks rights on the schema holdfast\\. .*grant usage`)
    )

    const grants = (await documentedGrants())
      .replaceAll('holdfast_owner', owner)
      .replaceAll('holdfast_app', app)
    const byOwner = await connect(t, as(owner).url)
    await byOwner.query(grants)
    const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: as(app).url })
    await runThroughVerbs(t, holdfast)
    t.match(await checks(), {
      schema: { status: 'ok' },
      ownership: { status: 'ok', value: /may vacuum the tables; their owner runs holdfast migrate/ },
      maintenance: { status: 'ok' }
    })
    holdfast.child.kill('SIGTERM')
    t.equal(await holdfast.ended, 0)
    t.notMatch(holdfast.said(), /permission denied|must be owner/)

    // Rights that are missing are named before a caller meets them.
    await byOwner.query(`revoke delete on holdfast.leases from ${app}`)
    t.match(
      await refusal(),
      `The role ${app} lacks rights on holdfast.leases. As the owner, run: grant usage`
    )
    t.match((await checks()).grants, { status: 'bad', value: /lacks rights on holdfast\.leases$/ })
    await byOwner.query(grants)

    // So is a migration that the role may not apply.
    await byOwner.query("delete from holdfast.migrations where name like '0009%'")
    t.match(
      await refusal(),
      new RegExp(`^0009_\\w+\\.sql must be applied, and the role ${app} may not do that`)
    )
    t.match((await checks()).schema, { status: 'bad', advice: /holdfast migrate as their owner/ })
  }
)

t.test('no right on the database is needed where the schemas are made already', async t => {
  const { sql, app, as } = await twoRoles(t)
  await sql.query(`
    create schema holdfast authorization ${app};
    create schema holdfast_jobs authorization ${app}`)
  await runThroughVerbs(t, await service(t, { database: as(app) }))
})

t.test('functions and rows that are kept from the role are named at the start', async t => {
  const { sql, name, owner, app, as, config, refusal, checks } = await twoRoles(t)
  // As some providers do: row-level security for each new table, and nothing for everybody.
  await sql.query(`
    create function public.secure() returns event_trigger language plpgsql as $$
    declare
      made record;
    begin
      for made in select * from pg_event_trigger_ddl_commands() where object_type = 'table' loop
        if made.command_tag = 'CREATE TABLE' then
          execute format('alter table %s enable row level security', made.object_identity);
        end if;
      end loop;
    end $$;
    create event trigger secure on ddl_command_end execute function public.secure();
    revoke all on database ${name} from public;
    revoke all on schema public from public;
    grant connect on database ${name} to ${owner}, ${app};
    grant create on database ${name} to ${owner};
    alter default privileges for role ${owner} revoke execute on functions from public`)
  await migrateDatabase(config(owner))
  const byOwner = await connect(t, as(owner).url)
  const grants = (await documentedGrants())
    .replaceAll('holdfast_owner', owner)
    .replaceAll('holdfast_app', app)
  await byOwner.query(grants.replace(/^grant execute.*$/m, ''))
  const hidden = await refusal()
  t.match(hidden, /^Row-level security keeps rows of .*holdfast\.messages.* from the role app_/)
  await byOwner.query(hidden.slice(hidden.indexOf('alter table')))
  t.match(
    await refusal(),
    /^The role \w+ lacks rights on .*holdfast\.free_lines\(.*grant execute on all functions/
  )
  await byOwner.query('alter table holdfast.messages enable row level security')
  await byOwner.query(grants)
  t.match((await checks()).grants, {
    status: 'bad',
    value: /row-level security hides rows of holdfast\.messages/
  })
  await byOwner.query('alter table holdfast.messages disable row level security')

  // A login may become another role at once.
  const login = `login_${name}`
  await sql.query(`create role ${login} login in role ${app}; alter role ${login} set role = ${app}`)
  t.teardown(() => sql.query(`drop role ${login}`))
  await sql.query(`grant connect on database ${name} to ${login}`)
  t.teardown(() => sql.query(`revoke connect on database ${name} from ${login}`))
  await runThroughVerbs(t, await service(t, { database: as(login) }))
})
