/**
 * What the bench breaks: a PostgreSQL and two replicas, each in its own process, behind proxies.
 */
import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createWriteStream } from 'node:fs'
import { appendFile, mkdir, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'
import pg from 'pg'
import { startEmbedded, type Embedded } from '../../src/store/setup/embedded.ts'
import { startPair } from '../support/servers.ts'
import { Pair } from './pair.ts'
import { Proxy } from './proxy.ts'

const diskSize = '1g'
const callMsMax = 40_000
const run = promisify(execFile)

export interface Replica {
  readonly name: string
  /** The address of its proxy, which stays the same when the replica is started again. */
  readonly url: string
  /** Between the service and PostgreSQL. */
  readonly database: Proxy
  /** Between callers and the service. */
  readonly front: Proxy
  /** Resolves once it serves. Until then it is started again and again, as by a process manager. */
  start(env?: Record<string, string>): Promise<void>
  signal(signal: NodeJS.Signals): void
  /** Sends the signal, and returns the exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>
}

export interface Cluster {
  readonly postgres: Pick<Embedded, 'config' | 'pid'>
  /** A primary and its standby, in place of the one PostgreSQL; null: there is no standby. */
  readonly pair: Pair | null
  readonly replicas: Replica[]
  /** Processes that ended by themselves. */
  readonly crashes: string[]
  /** One statement on its own connection, past the proxies. Waits for a PostgreSQL that is away. */
  sql(text: string, values?: unknown[]): Promise<any[]>
  connect(): Promise<pg.Client>
  /**
   * Fills the disk under PostgreSQL, and returns what frees it. Null where no small file system
   * could be mounted.
   */
  readonly fillDisk: (() => Promise<() => Promise<void>>) | null
  stop(): Promise<void>
}

/**
 * `root` holds the source of the service: the product, or a copy with a bug in it. `paired` asks for
 * a standby.
 */
export async function startCluster(
  root: string,
  folder: string,
  say: (line: string) => void,
  { paired = false } = {}
): Promise<Cluster> {
  const disk = join(folder, 'disk')
  await mkdir(disk, { recursive: true })
  const small = await run('mount', ['-t', 'tmpfs', '-o', `size=${diskSize},mode=755`, 'tmpfs', disk]).then(
    () => true,
    () => false
  )
  const crashes: string[] = []
  const closers: (() => unknown)[] = [
    async () => {
      if (small) await run('umount', ['-l', disk])
      await rm(disk, { recursive: true, force: true })
    }
  ]
  const stop = async () => {
    for (const close of closers.splice(0).reverse()) await close()
  }
  try {
    const postgres = await startEmbedded(disk, say)
    closers.push(() => postgres.stop())
    const pair = paired ? new Pair(await startPair({ teardown: close => closers.push(close) })) : null
    const connect = async () => {
      const client = new pg.Client({ ...(pair?.config ?? postgres.config), application_name: 'bench' })
      client.on('error', () => {})
      await client.connect()
      return client
    }
    const sql = async (text: string, values?: unknown[]) => {
      for (const untilMs = Date.now() + 30_000; ; await pause(50)) {
        const client = await connect().catch((error: Error) => error)
        if (client instanceof Error) {
          if (Date.now() > untilMs) throw client
          continue
        }
        try {
          return (await client.query(text, values)).rows
        } catch (error) {
          if (error instanceof pg.DatabaseError && !/^(57|25006)/.test(error.code ?? '')) throw error
          if (Date.now() > untilMs) throw error
        } finally {
          client.end().catch(() => {})
        }
      }
    }
    const replicas: Replica[] = []
    for (const name of ['a', 'b']) {
      const replica = await makeReplica(
        name,
        root,
        postgres,
        pair,
        join(folder, `replica-${name}.log`),
        crashes
      )
      closers.push(() => replica.close())
      replicas.push(replica)
      await replica.start()
    }
    const fillDisk = async () => {
      const ballast = join(disk, 'ballast')
      const { bavail, bsize } = await statfs(disk)
      await run('fallocate', ['-l', String(bavail * bsize - 16_777_216), ballast])
      const crumbs = Buffer.alloc(65_536)
      while (
        await appendFile(ballast, crumbs).then(
          () => true,
          () => false
        )
      );
      return () => rm(ballast)
    }
    return { postgres, pair, replicas, crashes, sql, connect, fillDisk: small ? fillDisk : null, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function makeReplica(
  name: string,
  root: string,
  postgres: Embedded,
  pair: Pair | null,
  logFile: string,
  crashes: string[]
): Promise<Replica & { close(): Promise<void> }> {
  const database = new Proxy()
  database.target = { path: join(postgres.config.host, `.s.PGSQL.${postgres.config.port}`) }
  const front = new Proxy()
  const address = `127.0.0.1:${await database.listen()}`
  const { user, database: databaseName } = postgres.config
  const proxied = `postgresql://${user}@${address}/${databaseName}?sslmode=disable`
  const databaseUrl = pair?.url ?? proxied
  const url = `http://127.0.0.1:${await front.listen()}`
  const log = createWriteStream(logFile, { flags: 'a' })
  let child: ChildProcess | null = null
  let ending = false

  async function start(env: Record<string, string> = {}): Promise<void> {
    ending = false
    for (const untilMs = Date.now() + 60_000; ; await pause(100)) {
      const started = (child = spawn(process.execPath, ['bin/holdfast.mjs', 'serve'], {
        cwd: root,
        env: {
          PATH: process.env.PATH,
          HOLDFAST_DATABASE_URL: databaseUrl,
          HOLDFAST_PORT: '0',
          // All callers have one address, so their flushes have one caller's part: half of 21.
          // A step of several statements holds a connection for a second where a trip takes 300 ms.
          HOLDFAST_POOL_SIZE: '22',
          HOLDFAST_AUTH: 'off', // callers come through a proxy, and so to another port
          HOLDFAST_PUSH_PRIVATE: 'on',
          ...env
        },
        stdio: ['ignore', 'pipe', 'pipe']
      }))
      started.stderr!.pipe(log, { end: false })
      for await (const line of createInterface({ input: started.stdout! })) {
        const port = /serves on http:\/\/127\.0\.0\.1:(\d+),/.exec(line)?.[1]
        if (port === undefined) continue
        front.target = { host: '127.0.0.1', port: Number(port), noDelay: true }
        started.stdout!.on('data', text => log.write(text)).resume()
        started.once('exit', (code, signal) => {
          front.target = null
          if (!ending) crashes.push(`replica ${name} ended by itself (${code ?? signal})`)
        })
        return
      }
      if (Date.now() > untilMs) throw new Error(`Replica ${name} does not start; see ${logFile}.`)
    }
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    const process = child!
    ending = true
    if (process.exitCode !== null || process.signalCode !== null) return process.exitCode
    process.kill(signal)
    const [code] = await once(process, 'exit')
    return code
  }

  return {
    name,
    url,
    database,
    front,
    start,
    end,
    signal: signal => {
      child!.kill(signal)
    },
    async close() {
      if (child !== null) {
        await Promise.race([
          end('SIGTERM'),
          pause(5000, undefined, { ref: false }).then(() => end('SIGKILL'))
        ])
      }
      await Promise.all([database.close(), front.close()])
      log.end()
    }
  }
}

/** One call. Null when it was refused, or had no answer. */
export async function post(url: string, body: object = {}, signal: AbortSignal | null = null): Promise<any> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
      signal: signal ?? AbortSignal.timeout(callMsMax)
    })
    const answer = await response.json()
    return response.ok ? answer : null
  } catch {
    return null
  }
}
