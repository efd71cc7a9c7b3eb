/** PostgreSQL servers that stream to one another, for tests that kill, freeze and promote them. */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { createCluster } from '../../src/store/setup/embedded/cluster.ts'
import { commandLine, findProgram, type Program } from '../../src/store/setup/embedded/program.ts'
import { freePort } from './tcpServer.ts'

const run = promisify(execFile)
const user = 'holdfast'

export interface Server {
  readonly port: number
  /** Starts it on the data it has: as a standby if `follow` has made it one. */
  start(): Promise<void>
  /** Sends a signal to all of its processes, as if the machine had died or frozen. */
  signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void>
  /** Shuts it down at once, as pg_ctl stop -m fast does. */
  stop(): Promise<void>
  /** Makes it a standby of another server, on a fresh copy of its data, and starts it. */
  follow(primary: Server): Promise<void>
  /** Ends being a standby, as pg_ctl promote does. Answers when it takes writes. */
  promote(): Promise<void>
  /** Sets a setting for this server alone, and applies it. */
  set(setting: string, value: string): Promise<void>
  /** Runs a statement on a connection of its own. */
  sql(text: string, values?: unknown[]): Promise<any[]>
  connect(database?: string): Promise<pg.Client>
}

interface Scope {
  teardown(work: () => Promise<unknown>): void
}

/** Servers in one folder. The first one runs. They end with `t`. */
async function startFirst(t: Scope, names: string[]): Promise<PgServer[]> {
  const home = await mkdtemp(join(tmpdir(), 'holdfast-servers-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const program = await findProgram()
  const servers: PgServer[] = []
  for (const name of names) servers.push(new PgServer(program, home, name, await freePort()))
  for (const server of servers) t.teardown(() => server.stop())
  const [first] = servers
  await createCluster(program, home, first!.data)
  await writeFile(join(first!.data, 'pg_hba.conf'), 'host all,replication all all trust\n')
  await first!.start()
  return servers
}

/** A server alone. */
export async function startSingle(t: Scope): Promise<{ server: Server; url: string }> {
  const [server] = await startFirst(t, ['one'])
  return { server: server!, url: `postgresql://${user}@127.0.0.1:${server!.port}/postgres` }
}

/** A primary that runs, and its standby. They end with `t`. */
export async function startPair(
  t: Scope
): Promise<{ servers: [Server, Server]; url(rest?: string): string }> {
  const servers = await startFirst(t, ['one', 'two'])
  const [primary, standby] = servers as [PgServer, PgServer]
  await standby.follow(primary)
  const hosts = servers.map(({ port }) => `127.0.0.1:${port}`).join(',')
  return {
    servers: [primary, standby],
    url: (rest = '') => `postgresql://${user}@${hosts}/postgres${rest}`
  }
}

/** Makes the primary wait for its standby with every commit. */
export async function makeSynchronous(primary: Server): Promise<void> {
  await primary.set('synchronous_standby_names', '*')
  await untilTrue(primary, "select count(*) > 0 from pg_stat_replication where sync_state = 'sync'")
}

class PgServer implements Server {
  readonly port: number
  readonly data: string
  readonly #program: Program
  readonly #home: string
  #child: ChildProcess | null = null

  constructor(program: Program, home: string, name: string, port: number) {
    this.#program = program
    this.#home = home
    this.data = join(home, name)
    this.port = port
  }

  async start(): Promise<void> {
    const { uid } = this.#program
    if (uid !== undefined) await run('chown', ['-R', `${uid}:${uid}`, this.#home])
    const settings = {
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      timezone: 'UTC',
      wal_keep_size: '1GB',
      // A standby is copied as soon as it is asked for, and finds its primary again at once.
      wal_retrieve_retry_interval: '200ms'
    }
    const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
    const child = spawn(
      ...commandLine(this.#program, 'postgres', ['-D', this.data, '-p', String(this.port), ...args]),
      { cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] }
    )
    this.#child = child
    const said: string[] = []
    for await (const line of createInterface({ input: child.stderr! })) {
      said.push(line)
      if (!/ready to accept (read-only )?connections/.test(line)) continue
      child.stderr!.resume()
      return
    }
    throw new Error(`PostgreSQL did not start: ${said.join('\n')}`)
  }

  async signal(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void> {
    const child = this.#child!
    const ended = once(child, 'exit')
    child.kill(signal)
    // The postmaster makes no children any more, so these are all.
    for (const pid of await childrenOf(child.pid!)) signalIfThere(pid, signal)
    if (signal === 'SIGKILL') await ended
  }

  async stop(): Promise<void> {
    const child = this.#child
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    await this.signal('SIGCONT')
    const ended = once(child, 'exit')
    child.kill('SIGINT')
    await ended
  }

  async follow(primary: Server): Promise<void> {
    await this.stop()
    await rm(this.data, { recursive: true, force: true })
    const { data } = primary as PgServer
    // pg_basebackup is not part of the embedded PostgreSQL. This is what it does. Files may change or
    // go meanwhile, and what they lack is in the WAL that follows.
    const session = await primary.connect()
    await session.query("select pg_backup_start('copy', fast => true)")
    await mkdir(this.data, { mode: 0o700 })
    const copy = `tar -C "$1" --exclude='./pg_wal/*' --exclude=./postmaster.pid -cf - . | tar -C "$2" -xpf -`
    await run('sh', ['-c', copy, 'sh', data, this.data], { maxBuffer: 2 ** 24 })
    const { rows } = await session.query('select labelfile from pg_backup_stop(wait_for_archive => false)')
    await session.end()
    await writeFile(join(this.data, 'backup_label'), rows[0].labelfile)
    await rm(join(this.data, 'pg_replslot'), { recursive: true, force: true })
    await mkdir(join(this.data, 'pg_replslot'), { mode: 0o700 })
    await writeFile(join(this.data, 'standby.signal'), '')
    await this.#write('synchronous_standby_names', '')
    await this.#write(
      'primary_conninfo',
      `host=127.0.0.1 port=${primary.port} user=${user} application_name=standby`
    )
    await this.start()
    await untilTrue(primary, "select count(*) > 0 from pg_stat_replication where state = 'streaming'")
  }

  async promote(): Promise<void> {
    await this.sql('select pg_promote(wait => true)')
  }

  async set(setting: string, value: string): Promise<void> {
    await this.#write(setting, value)
    await this.sql('select pg_reload_conf()')
    await untilTrue(this, `select current_setting('${setting}') = '${value}'`)
  }

  async #write(setting: string, value: string): Promise<void> {
    await appendFile(join(this.data, 'postgresql.conf'), `\n${setting} = '${value}'\n`)
  }

  async sql(text: string, values?: unknown[]): Promise<any[]> {
    const client = await this.connect()
    try {
      return (await client.query(text, values)).rows
    } finally {
      await client.end()
    }
  }

  async connect(database = 'postgres'): Promise<pg.Client> {
    const client = new pg.Client({ host: '127.0.0.1', port: this.port, user, database, ssl: false })
    client.on('error', () => {}) // the query under way reports it
    await client.connect()
    return client
  }
}

/** Waits until a query answers true. */
export async function untilTrue(
  server: Pick<Server, 'sql'>,
  query: string,
  withinMs = 20_000
): Promise<void> {
  for (const untilMs = Date.now() + withinMs; Date.now() < untilMs; await pause(20)) {
    const [row] = await server.sql(query)
    if (row !== undefined && Object.values(row as object)[0] === true) return
  }
  throw new Error(`This did not become true in time: ${query}`)
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.split(' ').filter(Boolean).map(Number)
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}
