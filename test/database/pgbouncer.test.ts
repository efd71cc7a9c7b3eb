/** PgBouncer between the service and PostgreSQL. */
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { withApiKeys } from '../../src/databaseTasks.ts'
import { startService } from '../../src/service.ts'
import {
  documentedSettings,
  followAdvice,
  noPgbouncer,
  noTransactionPooling,
  pgbouncer,
  pgbouncerRelease,
  poolerCheck,
  transactionPooler
} from '../support/pgbouncer.ts'
import { service } from '../support/service.ts'
import { runThroughVerbs } from '../support/steps.ts'
import { tcpServer } from '../support/tcpServer.ts'
import { connect } from '../support/postgres.ts'

async function queueServer(t: Test) {
  const server = await tcpServer(t)
  const sql = await connect(t, server.url())
  await sql.query('create database queue')
  const env = (port: number) => ({
    HOLDFAST_DATABASE_URL: `postgresql://holdfast@127.0.0.1:${port}/queue`,
    HOLDFAST_LISTEN_URL: server.url({ database: 'queue' }),
    HOLDFAST_PORT: '0',
    HOLDFAST_LOG_LEVEL: 'silent'
  })
  return { server, sql, env }
}

/** A replica that the variables lead through a pooler. */
function through(t: Test, { HOLDFAST_DATABASE_URL: url, ...env }: Record<string, string>) {
  return service(t, { database: { url: url! }, env })
}

t.test('a service works through PgBouncer in session mode', { skip: noPgbouncer }, async t => {
  const { server, sql, env } = await queueServer(t)
  await sql.query(
    'alter role holdfast set array_nulls = off; alter role holdfast set synchronous_commit = off'
  )
  const { port } = await pgbouncer(t, { port: server.port, mode: 'session' })
  await runThroughVerbs(t, await through(t, env(port)))
  t.match(await poolerCheck(env(port)), { status: 'ok', value: /in session mode/ })
})

t.test(
  'a pooler that loses prepared statements is refused at the start, and doctor calls it bad',
  { skip: noPgbouncer },
  async t => {
    const { server, env } = await queueServer(t)
    for (const more of [['default_pool_size = 1'], ['server_round_robin = 1', 'min_pool_size = 5'], []]) {
      const { port } = await pgbouncer(t, {
        port: server.port,
        mode: 'transaction',
        more: [...more, ...(pgbouncerRelease() < 121 ? [] : ['max_prepared_statements = 0'])]
      })
      const refusal = {
        message:
          /^The pooler at HOLDFAST_DATABASE_URL works in transaction mode\. It loses prepared statements\./
      }
      await t.rejects(
        startService(readConfig(env(port)), () => {}),
        refusal
      )
      await t.rejects(
        withApiKeys(readConfig(env(port)), async keys => keys.list()),
        refusal
      )
      t.match(await poolerCheck(env(port)), {
        status: 'bad',
        value: /in transaction mode/,
        advice: /refuses to start\. It loses prepared statements\. Use PgBouncer 1\.21 or later/
      })
    }
  }
)

t.test(
  'in transaction mode the start and doctor ask for settings of the role, until it has them',
  { skip: noTransactionPooling },
  async t => {
    const { server, sql, env } = await queueServer(t)
    await sql.query(`
      alter role holdfast set array_nulls = off;
      alter role holdfast set DateStyle = 'SQL, DMY';
      alter role holdfast set transaction_timeout = '10s'`)
    const pooler = await pgbouncer(t, { port: server.port, mode: 'transaction', more: documentedSettings })
    const start = startService(readConfig(env(pooler.port)), () => {})
    const { message: refusal } = await start.then(
      () => t.fail('it started'),
      error => error
    )
    t.match(refusal, /DateStyle = 'ISO, MDY';.* array_nulls = 'on';.*Then run RECONNECT at the pooler/)
    t.match(await poolerCheck(env(pooler.port)), { status: 'bad' })
    await followAdvice(sql, refusal)
    await pooler.command('RECONNECT')
    const check = await poolerCheck(env(pooler.port))
    t.match(check, {
      status: 'warning',
      advice: /plan_cache_mode = 'force_generic_plan';.* transaction_timeout = '0';/
    })
    await followAdvice(sql, check!.advice!)
    await pooler.command('RECONNECT')
    t.match(await poolerCheck(env(pooler.port)), { status: 'ok', value: /in transaction mode/ })
  }
)

t.test(
  'two replicas work in transaction mode, and hear of one another',
  { skip: noTransactionPooling },
  async t => {
    const { server } = await queueServer(t)
    const { env } = await transactionPooler(t, server.url({ database: 'queue' }), ['default_pool_size = 4'])
    const [one, other] = [await through(t, env), await through(t, env)]
    await Promise.all([runThroughVerbs(t, one, 'one'), runThroughVerbs(t, other, 'other')])
    await one.call('PUT', '/queues/q', {})
    const leased = other.post('/queues/q/lease', { waitSeconds: 20 })
    await one.post('/queues/q/messages', { body: 1 })
    t.equal((await leased).body.messages.length, 1)

    const bySql = one.post('/queues/q/lease', { waitSeconds: 20 })
    const app = await connect(t, env.HOLDFAST_DATABASE_URL)
    for (const text of ['begin', "select holdfast.enqueue('q', '2', '{}')", 'commit']) await app.query(text)
    t.equal((await bySql).body.messages[0].body, 2)
  }
)

t.test('few prepared statements cost time alone', { skip: noTransactionPooling }, async t => {
  const { server } = await queueServer(t)
  const few = ['max_prepared_statements = 2']
  const { env } = await transactionPooler(t, server.url({ database: 'queue' }), few)
  await runThroughVerbs(t, await through(t, env))
})

t.test(
  'no message is lost or leased twice while PgBouncer and its connections fail',
  { skip: noTransactionPooling },
  async t => {
    const { server } = await queueServer(t)
    const { sql, env, pooler } = await transactionPooler(t, server.url({ database: 'queue' }))
    const holdfast = await through(t, env)
    await holdfast.call('PUT', '/queues/q', { leaseSeconds: 600 })
    const confirmed = new Set<string>()
    const statuses = new Set<number>()
    const enqueue = async () => {
      const { status, body } = await holdfast.post('/queues/q/messages', { body: 1 })
      statuses.add(status)
      if (status === 201) confirmed.add(body.id)
    }
    /** Until many more messages are confirmed. */
    const progress = async () => {
      const before = confirmed.size
      while (confirmed.size < before + 100) await Promise.all(Array.from({ length: 8 }, enqueue))
    }
    const faults = [
      () => pooler.restart(),
      () =>
        sql.query(
          "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'holdfast'"
        ),
      () => pooler.command('RELOAD'),
      () => pooler.command('RECONNECT'),
      async () => {
        await pooler.command('PAUSE')
        await pooler.command('RESUME')
      },
      async () => {
        await pooler.command('KILL queue')
        await pooler.command('RESUME queue')
      },
      // PostgreSQL ends all its sessions then, and recovers.
      async () => {
        const { rows } = await sql.query(
          "select pid from pg_stat_activity where application_name = 'holdfast'"
        )
        process.kill(rows[0].pid, 'SIGKILL')
      }
    ]
    await progress()
    for (const fault of faults) await Promise.all([progress(), fault().then(progress)])
    t.strictSame([...statuses].sort(), [201, 503])

    const leased: string[] = []
    for (;;) {
      const { messages } = (await holdfast.post('/queues/q/lease', { max: 100 })).body
      if (messages.length === 0) break
      leased.push(...messages.map(({ id }: { id: string }) => id))
    }
    const found = new Set(leased)
    t.equal(found.size, leased.length)
    t.strictSame(
      [...confirmed].filter(id => !found.has(id)),
      []
    )
  }
)
