/** PgBouncer between the service and PostgreSQL. */
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { judge } from '../../src/cli/doctor/judge.ts'
import { readDoctorFacts, withApiKeys } from '../../src/databaseTasks.ts'
import { startService } from '../../src/service.ts'
import { noPgbouncer, pgbouncer, pgbouncerRelease } from '../support/pgbouncer.ts'
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

async function poolerCheck(env: Record<string, string>) {
  const config = readConfig(env)
  const checks = judge(await readDoctorFacts(config), config, {
    replicas: 0,
    filesMax: null,
    heldBounds: null
  })
  return checks.find(({ name }) => name === 'pooler')
}

t.test('a service works through PgBouncer in session mode', { skip: noPgbouncer }, async t => {
  const { server, sql, env } = await queueServer(t)
  await sql.query(
    'alter role holdfast set array_nulls = off; alter role holdfast set synchronous_commit = off'
  )
  const port = await pgbouncer(t, { port: server.port, mode: 'session' })
  const { HOLDFAST_DATABASE_URL: url, ...rest } = env(port)
  await runThroughVerbs(t, await service(t, { database: { url }, env: rest }))
  t.match(await poolerCheck(env(port)), { status: 'ok', value: /in session mode/ })
})

t.test(
  'a pooler that loses prepared statements is refused at the start, and doctor calls it bad',
  { skip: noPgbouncer },
  async t => {
    const { server, env } = await queueServer(t)
    for (const more of [['default_pool_size = 1'], ['server_round_robin = 1', 'min_pool_size = 5'], []]) {
      const port = await pgbouncer(t, {
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
