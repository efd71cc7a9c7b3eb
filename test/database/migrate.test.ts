/** Migrations beside other settings of the database, other roles, and replication. */
import t from 'tap'
import { migrate } from '../../src/store/setup/migrate.ts'
import { connect, freshDatabase } from '../support/postgres.ts'
import { service } from '../support/service.ts'

t.test('replicas may migrate at once, whatever the default isolation is', async t => {
  for (const isolation of ['repeatable read', 'serializable']) {
    const { config, url, name } = await freshDatabase(t, { migrated: false })
    const sql = await connect(t, url)
    await sql.query(`alter database ${name} set default_transaction_isolation = '${isolation}'`)
    const applied = await Promise.all(Array.from({ length: 12 }, () => migrate(config)))
    t.equal(applied.filter(names => names.length > 0).length, 1, `${isolation}: one of them migrated`)
    const { rows } = await sql.query('select count(*)::int as count from holdfast.migrations')
    t.equal(rows[0].count, applied.flat().length)
  }
})

t.test('every table has a key, so a publication for all tables breaks nothing', async t => {
  const database = await freshDatabase(t)
  const sql = await connect(t, database.url)
  await sql.query('create publication everything for all tables')
  const holdfast = await service(t, { database })
  const { rows } = await sql.query(
    `select c.oid::regclass::text as name
     from pg_class c
     where c.relnamespace in ('holdfast'::regnamespace, 'holdfast_jobs'::regnamespace)
       and c.relkind in ('r', 'p')
       and not exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary)`
  )
  t.strictSame(rows, [])
  t.equal((await sql.query('update holdfast.series_turn set at = at')).rowCount, 1)
  await t.rejects(sql.query('insert into holdfast.series_turn (at) values (0)'), 'it has one row only')
  t.equal((await holdfast.post('/queues/q/messages', { body: 1 })).status, 201)
  const { receipt } = (await holdfast.post('/queues/q/lease')).body.messages[0]
  t.equal((await holdfast.post('/queues/q/ack', { receipt })).status, 200)
})

t.test('functions of a later release are left alone by an earlier one', async t => {
  const { config, url } = await freshDatabase(t)
  const sql = await connect(t, url)
  await sql.query("update holdfast.migrations set hash = 'later' where name = 'api.sql'")
  await sql.query("insert into holdfast.migrations (name, hash) values ('9999_later.sql', 'x')")
  t.strictSame(await migrate(config), [])
  await sql.query("delete from holdfast.migrations where name = '9999_later.sql'")
  t.strictSame(await migrate(config), ['api.sql'])
})

t.test('a role whose triggers do not work is refused, with the setting and the way back', async t => {
  const { config, url, name } = await freshDatabase(t)
  const sql = await connect(t, url)
  await sql.query(`alter database ${name} set session_replication_role = replica`)
  const reset = `alter database ${name} reset session_replication_role`
  const expected = `session_replication_role is replica\\. .*run: ${reset};`
  await t.rejects(migrate(config), { message: new RegExp(expected) })
  await sql.query(reset)
  t.strictSame(await migrate(config), [])
})

t.test('a database that takes no writes is refused, with the setting and the way back', async t => {
  const { config, url, name } = await freshDatabase(t)
  const sql = await connect(t, url)
  const set = 'set default_transaction_read_only = on'
  await sql.query(`alter database ${name} ${set}`)
  const expected = `default_transaction_read_only is on\\. .*run: alter database ${name} reset`
  await t.rejects(migrate(config), { message: new RegExp(expected) })
  const options = encodeURIComponent('-c default_transaction_read_only=on')
  const connectionString = `${url}${url.includes('?') ? '&' : '?'}options=${options}`
  await t.rejects(migrate({ connectionString }), {
    message: /remove it from the options in HOLDFAST_DATABASE_URL/
  })
  await sql.query(
    `set default_transaction_read_only = off; alter database ${name} reset default_transaction_read_only`
  )
  t.strictSame(await migrate(config), [])
})
