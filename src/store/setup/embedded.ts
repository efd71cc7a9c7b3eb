/**
 * The PostgreSQL that comes with Holdfast: set up in a folder, started, kept running and stopped.
 */
import { mkdir, realpath, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { addressOf, urlOf, type Address } from './embedded/address.ts'
import { chooseSocketFolder, createCluster } from './embedded/cluster.ts'
import { connectGuard, InUse } from './embedded/guard.ts'
import { findPostmaster, Postmaster, type Folders } from './embedded/postmaster.ts'
import { findProgram } from './embedded/program.ts'

export { EmbeddedUnavailable } from './embedded/program.ts'

export interface Embedded {
  /** For pg's Client and Pool. Stays the same when the server had to be started again. */
  readonly config: Address
  /** The same as one string, for another process. */
  readonly url: string
  /** The postmaster of this moment. */
  readonly pid: number
  /** Ends the server. Close every connection before: those still open are cut. */
  stop(): Promise<void>
}

/**
 * Answers once the server takes connections. From then on it brings the server back whenever it
 * goes away. Throws EmbeddedUnavailable, or an Error with a sentence for a person. `log` hears
 * progress.
 */
export async function startEmbedded(dataDir: string, log: (line: string) => void): Promise<Embedded> {
  const program = await findProgram()
  await mkdir(dataDir, { recursive: true })
  const home = await realpath(dataDir)
  const data = join(home, 'postgres')
  const host = (await findPostmaster(data))?.host ?? (await chooseSocketFolder(home))
  const folders = { data, host, logFile: join(home, 'postgres.log') }
  // Only now: data that vanishes while the service runs must not be replaced by an empty cluster.
  await createCluster(program, home, data)
  const keeper = new Keeper(new Postmaster(program, folders), folders, log)
  await keeper.start()
  return {
    config: addressOf(host),
    url: urlOf(host),
    get pid() {
      return keeper.pid
    },
    stop: () => keeper.stop()
  }
}

/**
 * The address of a server that a service runs over this folder; null when there is none. Starts
 * nothing.
 */
export async function runningEmbedded(dataDir: string): Promise<Address | null> {
  const running = await realpath(dataDir).then(
    home => findPostmaster(join(home, 'postgres')),
    () => undefined
  )
  return running === undefined ? null : addressOf(running.host)
}

/** Keeps the server running until it is told to stop. */
class Keeper {
  readonly #postmaster: Postmaster
  readonly #folders: Folders
  readonly #log: (line: string) => void
  readonly #stopping = new AbortController()
  #guard: pg.Client | undefined
  #recovery: Promise<void> | undefined

  constructor(postmaster: Postmaster, folders: Folders, log: (line: string) => void) {
    this.#postmaster = postmaster
    this.#folders = folders
    this.#log = log
  }

  get pid(): number {
    return this.#postmaster.pid
  }

  async start(): Promise<void> {
    for (const untilMs = Date.now() + 15_000; ; await sleep(100)) {
      try {
        return await this.#bringUp()
      } catch (error) {
        // Another start may have been quicker, or the last backends of a killed server have not
        // noticed yet.
        const passes =
          /lock file|shared memory/.test((error as Error).message) ||
          (await findPostmaster(this.#folders.data)) !== undefined
        if (error instanceof InUse || !passes || Date.now() > untilMs) throw error
      }
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#recovery
    // Without a guard it recovers from a crash and has nothing to flush. The fast shutdown would
    // not do: PostgreSQL 18.4 never ends when it comes while the server starts over after a
    // backend's crash.
    if (this.#guard === undefined) await this.#postmaster.halt('SIGQUIT')
    this.#guard?.end().catch(() => {})
    await this.#postmaster.halt('SIGINT', 'SIGQUIT')
    await rm(this.#folders.host, { recursive: true, force: true })
  }

  /** Adopts the server that runs, or launches one. */
  async #bringUp(): Promise<void> {
    const running = await findPostmaster(this.#folders.data)
    if (running !== undefined) {
      this.#postmaster.adopt(running.pid)
      if (await this.#connects(15_000)) return
      await this.#postmaster.halt('SIGQUIT')
    }
    await this.#postmaster.launch()
    // Crash recovery replays up to max_wal_size, which may take minutes on a slow disk.
    if (!(await this.#connects(300_000))) {
      const reason = await this.#postmaster.lastWords()
      throw new Error(
        `The embedded PostgreSQL did not start (${reason}). Its log is ${this.#folders.logFile}.`
      )
    }
  }

  /** True once the guard is connected. False when the process went away, or only shuts down. */
  async #connects(limitMs: number): Promise<boolean> {
    const { data, host } = this.#folders
    const untilMs = Date.now() + limitMs
    for (; !this.#stopping.signal.aborted && (await this.#postmaster.runs()); await sleep(25)) {
      this.#guard = await connectGuard(host, data)
      if (this.#guard !== undefined) {
        this.#guard.once('end', () => this.#onGuardEnd())
        return true
      }
      if (Date.now() < untilMs) continue
      if ((await findPostmaster(data))?.stopping) return false
      throw new Error(
        `PostgreSQL (process ${this.pid}) holds ${data} but takes no connections. End that process, ` +
          'then start again.'
      )
    }
    return this.#stopping.signal.aborted
  }

  // The guard's connection ends with the postmaster, adopted or our own, and with any crash of the
  // whole server.
  #onGuardEnd(): void {
    this.#guard = undefined
    if (!this.#stopping.signal.aborted) this.#recovery = this.#recover()
  }

  async #recover(): Promise<void> {
    this.#log('The embedded PostgreSQL went away. Starting it again.')
    for (let waitMs = 50; !this.#stopping.signal.aborted; waitMs = Math.min(waitMs * 2, 1_000)) {
      try {
        await this.#bringUp()
        if (!this.#stopping.signal.aborted) this.#log('The embedded PostgreSQL is back.')
        return
      } catch (error) {
        this.#log((error as Error).message)
        await sleep(waitMs)
      }
    }
  }
}
