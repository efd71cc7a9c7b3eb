/**
 * The PostgreSQL that comes with Holdfast: it starts anywhere, keeps what it committed, and
 * recovers from the death of any process.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { EmbeddedUnavailable, startEmbedded, type Embedded } from '../../src/store/setup/embedded.ts'

const linux = process.platform === 'linux'
const root = process.getuid?.() === 0

t.test('it starts in a new folder, opens no TCP port, and leaves no process behind', async t => {
  const server = await start(t, join(await folder(t), 'not', 'yet'))
  const [row] = await query(
    server,
    `
    select
      current_database() as database,
      current_setting('fsync') as fsync,
      current_setting('full_page_writes') as full_page_writes,
      current_setting('listen_addresses') as tcp,
      current_setting('timezone') as timezone`
  )
  t.same(row, { database: 'holdfast', fsync: 'on', full_page_writes: 'on', tcp: '', timezone: 'UTC' })
  t.equal((await stat(server.config.host)).mode & 0o777, 0o700, 'only the owner can reach the socket')
  const client = new pg.Client(server.url)
  await client.connect()
  await client.end()
  const processes = await processesOf(server)
  await server.stop()
  await gone(processes)
})

t.test('it keeps committed rows across a stop and a start', async t => {
  const dataDir = await folder(t)
  const first = await start(t, dataDir)
  await writeRow(first)
  await first.stop()
  t.same(await readRows(await start(t, dataDir)), [1])
})

t.test('it is back within 5 s of a kill -9 of the postmaster, with every committed row', async t => {
  const server = await start(t, await folder(t))
  await writeRow(server)
  for (const round of [1, 2]) {
    const { pid } = server
    process.kill(pid, 'SIGKILL')
    t.same(await eventually(() => readRows(server)), [1], `round ${round}`)
    t.not(server.pid, pid)
  }
})

t.test('it is back after a kill -9 of the postmaster while a backend is busy', async t => {
  const server = await start(t, await folder(t))
  await writeRow(server)
  const busy = new pg.Client(server.config)
  busy.on('error', () => {})
  await busy.connect()
  const answer = busy
    .query('select sum(length(md5(n::text))) from generate_series(1, 3000000) n')
    .catch(() => {})
  process.kill(server.pid, 'SIGKILL')
  t.same(await eventually(() => readRows(server), 10_000), [1])
  await answer
})

t.test('it is back after a kill -9 of one backend', async t => {
  const server = await start(t, await folder(t))
  await writeRow(server)
  const client = new pg.Client(server.config)
  client.on('error', () => {})
  await client.connect()
  const { rows } = await client.query('select pg_backend_pid() as pid')
  const ended = new Promise<void>(resolve => {
    client.on('end', resolve)
  })
  process.kill(rows[0].pid, 'SIGKILL')
  await ended
  t.same(await eventually(() => readRows(server)), [1])
})

t.test(
  'after a kill -9 of its parent no process is left, and it starts again with its data',
  { skip: !linux && 'Linux only' },
  async t => {
    const dataDir = await folder(t)
    const parent = await startInChild(t, dataDir)
    await writeRow(parent)
    const processes = await processesOf(parent)
    await kill(parent.child)
    await gone(processes)
    t.same(await readRows(await start(t, dataDir)), [1])
  }
)

t.test('it starts right after a kill -9 of its parent, while the old server is shutting down', async t => {
  const dataDir = await folder(t)
  const parent = await startInChild(t, dataDir)
  await writeRow(parent)
  await kill(parent.child)
  const server = await start(t, dataDir)
  t.same(await eventually(() => readRows(server)), [1])
})

t.test(
  'it adopts a server that has outlived its parent, and stops it',
  { skip: !linux && 'Linux only' },
  async t => {
    const dataDir = await folder(t)
    // As on a machine without pdeathsig.
    const parent = await startInChild(t, dataDir, { setpriv: 'shift 2; exec "$@"' })
    await writeRow(parent)
    await kill(parent.child)
    const server = await start(t, dataDir)
    t.equal(server.pid, parent.pid)
    t.same(await readRows(server), [1])
    const processes = await processesOf(server)
    await server.stop()
    await gone(processes)
  }
)

t.test('it refuses a folder on which another Holdfast runs, and leaves that one alone', async t => {
  const dataDir = await folder(t)
  const first = await start(t, dataDir)
  await t.rejects(
    startEmbedded(dataDir, () => {}),
    {
      message: /^Another Holdfast is running on .*: stop it, or give this one a data directory of its own\.$/
    }
  )
  await writeRow(first)
  t.same(await readRows(first), [1])
})

t.test('it takes no half-made cluster for a whole one after its first start was killed', async t => {
  const dataDir = await folder(t)
  const { child } = launchChild(t, dataDir)
  await eventually(async () => {
    if (!(await readdir(dataDir)).some(name => name.startsWith('postgres.new-'))) {
      throw new Error('not there yet')
    }
  })
  await kill(child)
  t.notOk((await readdir(dataDir)).includes('postgres'), 'killed in the middle of the first start')
  const server = await start(t, dataDir)
  await writeRow(server)
  t.same((await readdir(dataDir)).sort(), ['postgres', 'postgres.log', 'socket'])
})

t.test('it starts though the process id in an old lock file belongs to another process', async t => {
  const dataDir = await folder(t)
  const first = await start(t, dataDir)
  await writeRow(first)
  const lockFile = join(dataDir, 'postgres', 'postmaster.pid')
  const lock = await readFile(lockFile, 'utf8')
  await first.stop()
  const stranger = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  t.teardown(() => kill(stranger))
  await writeFile(lockFile, lock.replace(/^\d+/, String(stranger.pid)))
  t.same(await readRows(await start(t, dataDir)), [1])
})

t.test('it works in a folder whose path is too long for a socket', async t => {
  const dataDir = join(await folder(t), 'long'.repeat(30))
  const server = await start(t, dataDir)
  await writeRow(server)
  t.ok(Buffer.byteLength(server.config.host) < 100)
  process.kill(server.pid, 'SIGKILL')
  t.same(await eventually(() => readRows(server)), [1])
  await server.stop()
  await t.rejects(stat(server.config.host), 'its socket folder is gone')
})

t.test('it works in a folder that only its owner can enter, for root too', async t => {
  const closed = await folder(t)
  await chmod(closed, 0o700)
  const server = await start(t, join(closed, 'data'))
  t.same(await query(server, 'select 1 as one'), [{ one: 1 }])
})

t.test(
  'for root without user namespaces it runs as nobody, and later with them on the same data',
  { skip: !(linux && root) && 'for root on Linux' },
  async t => {
    const dataDir = await folder(t)
    await chmod(dataDir, 0o755)
    const parent = await startInChild(t, dataDir, { unshare: 'exit 1' })
    await writeRow(parent)
    t.equal((await stat(join(dataDir, 'postgres'))).uid, 65534)
    const processes = await processesOf(parent)
    await kill(parent.child)
    await gone(processes)
    t.same(await readRows(await start(t, dataDir)), [1])
  }
)

t.test('where it has no build it says in one sentence what to install', async t => {
  t.intercept(process, 'arch', { value: 'riscv64' })
  const error = await startEmbedded(await folder(t), () => {}).catch(error => error)
  t.type(error, EmbeddedUnavailable)
  t.match(error.message, /^The embedded PostgreSQL has no build for \w+-riscv64 /)
  t.match(error.message, /: install PostgreSQL 15 or later and set HOLDFAST_DATABASE_URL to it\.$/)
})

async function folder(t: Test): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'holdfast-test-'))
  t.teardown(() => rm(path, { recursive: true, force: true }))
  return path
}

async function start(t: Test, dataDir: string): Promise<Embedded> {
  const server = await startEmbedded(dataDir, line => t.comment(line))
  t.teardown(() => server.stop())
  return server
}

type Launched = { child: ChildProcess; output: AsyncIterableIterator<string> }

/** A process with an embedded PostgreSQL, for tests that kill it. */
function launchChild(t: Test, dataDir: string, path = process.env.PATH): Launched {
  const embedded = new URL('../../src/store/setup/embedded.ts', import.meta.url)
  const script = `
    import { startEmbedded } from ${JSON.stringify(embedded)}
    const { pid, config } = await startEmbedded(${JSON.stringify(dataDir)}, () => {})
    console.log(JSON.stringify({ pid, config }))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, PATH: path }
  })
  t.teardown(() => kill(child))
  return { child, output: createInterface(child.stdout)[Symbol.asyncIterator]() }
}

/** `fakes` are shell scripts that its path has before the real programs. */
async function startInChild(
  t: Test,
  dataDir: string,
  fakes: Record<string, string> = {}
): Promise<Pick<Embedded, 'pid' | 'config'> & Launched> {
  const bin = await folder(t)
  await mkdir(bin, { recursive: true })
  for (const [name, body] of Object.entries(fakes)) {
    await writeFile(join(bin, name), `#!/bin/sh\n${body}\n`, { mode: 0o755 })
  }
  const launched = launchChild(t, dataDir, `${bin}:${process.env.PATH}`)
  return { ...launched, ...JSON.parse((await launched.output.next()).value) }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = once(child, 'exit')
  child.kill('SIGKILL')
  await exit
}

type Server = Pick<Embedded, 'pid' | 'config'>

async function query(server: Pick<Server, 'config'>, sql: string): Promise<any[]> {
  const client = new pg.Client(server.config)
  client.on('error', () => {})
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

async function writeRow(server: Server): Promise<void> {
  await query(server, 'create table kept as select 1 as n')
}

async function readRows(server: Server): Promise<number[]> {
  return (await query(server, 'select n from kept')).map(row => row.n)
}

/** The postmaster, and the processes that it started. */
async function processesOf(server: Server): Promise<number[]> {
  return [
    server.pid,
    ...(await query(server, 'select pid from pg_stat_activity where pid <> pg_backend_pid()')).map(
      row => row.pid
    )
  ]
}

/** Waits until the processes have ended and are reaped. */
async function gone(pids: number[]): Promise<void> {
  await eventually(async () => {
    for (const pid of pids) {
      if (isAlive(pid)) throw new Error(`process ${pid} is still there`)
    }
  })
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Tries again until it succeeds, for at most this long. */
async function eventually<T>(attempt: () => Promise<T>, limitMs = 5_000): Promise<T> {
  for (const untilMs = Date.now() + limitMs; ; await sleep(20)) {
    try {
      return await attempt()
    } catch (error) {
      if (Date.now() > untilMs) throw error
    }
  }
}
