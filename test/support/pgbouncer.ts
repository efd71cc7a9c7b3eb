/**
 * PgBouncer for tests: the program that HOLDFAST_TEST_PGBOUNCER names, or else that of Debian's package,
 * which is installed where that is possible.
 */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import pg from 'pg'
import type { Test } from 'tap'
import type { Check } from '../../src/cli/doctor/check.ts'
import { judge } from '../../src/cli/doctor/judge.ts'
import { readConfig } from '../../src/config.ts'
import { readDoctorFacts } from '../../src/databaseTasks.ts'
import { withoutPackage } from './debian.ts'
import { connect } from './postgres.ts'
import { freePort } from './tcpServer.ts'

const named = process.env.HOLDFAST_TEST_PGBOUNCER
const path = named ?? '/usr/sbin/pgbouncer'

/** Why tests that need PgBouncer are skipped; false when there is one. */
export const noPgbouncer = named === undefined ? withoutPackage('pgbouncer') : false

/** Its release, as 118 is 1.18. */
export const pgbouncerRelease = (): number => {
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' })
  const [, major, minor] = /PgBouncer (\d+)\.(\d+)/.exec(stdout) ?? []
  return Number(major) * 100 + Number(minor)
}

/** Why tests that need prepared statements in transaction mode are skipped; false where they run. */
export const noTransactionPooling =
  noPgbouncer !== false || pgbouncerRelease() >= 121
    ? noPgbouncer
    : 'PgBouncer is older than 1.21: name a newer one in HOLDFAST_TEST_PGBOUNCER'

export interface Pgbouncer {
  port: number
  /** Runs a command of its console, such as RECONNECT. */
  command(text: string): Promise<void>
  /** Kills it, and starts another on its port. */
  restart(): Promise<void>
}

/** Starts one before the server on `port`, which ends with `t`. `host` may be the folder of a socket. */
export async function pgbouncer(
  t: Pick<Test, 'teardown'>,
  {
    host = '127.0.0.1',
    port,
    mode,
    more = []
  }: { host?: string; port: number; mode: 'session' | 'transaction'; more?: string[] }
): Promise<Pgbouncer> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-pgbouncer-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  const ownPort = await freePort()
  const file = join(folder, 'pgbouncer.ini')
  const users = join(folder, 'users.txt')
  await writeFile(users, '"holdfast" ""\n"app" ""\n')
  await writeFile(
    file,
    [
      '[databases]',
      `* = host=${host} port=${port}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${ownPort}`,
      'unix_socket_dir =',
      'auth_type = trust',
      `auth_file = ${users}`,
      'admin_users = holdfast',
      `pool_mode = ${mode}`,
      ...more
    ].join('\n')
  )
  let program = await launch(file)
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    program.child.kill(signal)
    await program.ended
  }
  t.teardown(() => end('SIGTERM'))
  return {
    port: ownPort,
    async command(text) {
      const console = new pg.Client(`postgresql://holdfast@127.0.0.1:${ownPort}/pgbouncer`)
      await console.connect()
      await console.query(text).finally(() => console.end())
    },
    async restart() {
      await end('SIGKILL')
      program = await launch(file)
    }
  }
}

/** What doctor says of the pooler. */
export async function poolerCheck(env: Record<string, string>): Promise<Check | undefined> {
  const config = readConfig(env)
  const surroundings = { replicas: 0, filesMax: null, heldBounds: null }
  const checks = judge(await readDoctorFacts(config), config, surroundings)
  return checks.find(({ name }) => name === 'pooler')
}

/** Runs the statements that a refusal or an advice names, as an operator would. */
export async function followAdvice(sql: pg.Client, advice: string): Promise<void> {
  await sql.query([...advice.matchAll(/alter role \w+ set \w+ = '[^']*';/g)].join(' '))
}

/**
 * PgBouncer in transaction mode before a database, whose role gets what doctor asks for. `env` leads a
 * service through it.
 */
export async function transactionPooler(t: Pick<Test, 'teardown'>, url: string, more: string[] = []) {
  const sql = await connect(t, url)
  const { host, port } = sql
  const pooler = await pgbouncer(t, {
    host,
    port,
    mode: 'transaction',
    more: [...documentedSettings, ...more]
  })
  const env = {
    HOLDFAST_DATABASE_URL: `postgresql://${sql.user}@127.0.0.1:${pooler.port}/${sql.database}`,
    HOLDFAST_LISTEN_URL: url,
    HOLDFAST_PORT: '0',
    HOLDFAST_LOG_LEVEL: 'silent'
  }
  await followAdvice(sql, (await poolerCheck(env))?.advice ?? '')
  await pooler.command('RECONNECT')
  return { sql, pooler, env }
}

/** As docs/operations.md asks for. */
export const documentedSettings = ['max_prepared_statements = 250', 'server_login_retry = 1']

/** Answers once it serves. */
async function launch(file: string) {
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const child = spawn(path, [...asNobody, file], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'exit')
  const said: string[] = []
  for await (const line of createInterface({ input: child.stderr })) {
    said.push(line)
    if (line.includes('process up')) {
      child.stderr.resume()
      return { child, ended }
    }
  }
  throw new Error(`PgBouncer did not start: ${said.join('\n')}`)
}
