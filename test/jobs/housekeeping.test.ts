/**
 * The service's own recurring work: through pg-boss, in its own schema, once however many replicas
 * run.
 */
import { PgBoss } from 'pg-boss'
import t from 'tap'
import { connect, freshDatabase } from '../support/postgres.ts'
import { service } from '../support/service.ts'

t.test('two replicas start at once, share one schedule, and a job that is due runs once', async t => {
  const database = await freshDatabase(t, { migrated: false })
  const [holdfast] = await Promise.all([service(t, { database }), service(t, { database })])
  const sql = await connect(t, database.url)
  const { rows } = await sql.query('select name, cron from holdfast_jobs.schedule order by name')
  t.strictSame(
    rows,
    [
      'fire-schedules',
      'forget-acked',
      'forget-keys',
      'forget-redrives',
      'forget-series',
      'remove-queues',
      'retention'
    ].map(name => ({ name, cron: '* * * * *' }))
  )

  await holdfast.post('/queues/q/messages', {
    messages: [
      { body: 1, idempotencyKey: 'old' },
      { body: 2, idempotencyKey: 'new' }
    ]
  })
  await sql.query("update holdfast.idempotency_keys set expires_at = now() where key = 'old'")
  const boss = new PgBoss({
    connectionString: database.url,
    schema: 'holdfast_jobs',
    supervise: false,
    schedule: false
  })
  await boss.start()
  t.teardown(() => boss.stop({ graceful: false }))
  const id = await boss.send('forget-keys', {})
  while (
    (await sql.query("select from holdfast_jobs.job where id = $1 and state = 'completed'", [id]))
      .rowCount === 0
  ) {
    await new Promise(setImmediate)
  }
  t.strictSame((await sql.query('select key from holdfast.idempotency_keys')).rows, [{ key: 'new' }])
})
