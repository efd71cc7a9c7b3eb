/** The primary and the standby of a run with failovers. */
import { setTimeout as pause } from 'node:timers/promises'
import type pg from 'pg'
import { makeSynchronous, type Server } from '../support/servers.ts'

/** How long an old primary that comes back is left to itself, to see whether anybody follows it. */
const hauntsMs = 1000

export class Pair {
  /** For HOLDFAST_DATABASE_URL. It names both. */
  readonly url: string
  primary: Server
  standby: Server
  #isSynchronous = false
  #lastSignal: 'SIGKILL' | 'SIGSTOP' | null = null

  constructor({ servers: [primary, standby], url }: { servers: [Server, Server]; url(): string }) {
    this.url = url()
    this.primary = primary
    this.standby = standby
  }

  /** Leads to the primary. */
  get config(): pg.ClientConfig {
    return { host: '127.0.0.1', port: this.primary.port, user: 'holdfast', database: 'postgres', ssl: false }
  }

  /**
   * Makes the commits wait for the standby. After a failover, the old primary comes back first as
   * what it was, and then becomes the standby.
   */
  async prepare(): Promise<void> {
    if (this.#lastSignal !== null) {
      await (this.#lastSignal === 'SIGKILL' ? this.standby.start() : this.standby.signal('SIGCONT'))
      await pause(hauntsMs)
      await this.standby.follow(this.primary)
      this.#isSynchronous = false
    }
    if (!this.#isSynchronous) await makeSynchronous(this.primary)
    this.#isSynchronous = true
  }

  /** Kills and freezes the primary in turn. */
  async strike(): Promise<void> {
    this.#lastSignal = this.#lastSignal === 'SIGKILL' ? 'SIGSTOP' : 'SIGKILL'
    await this.primary.signal(this.#lastSignal)
  }

  async promote(): Promise<void> {
    await this.standby.promote()
    ;[this.primary, this.standby] = [this.standby, this.primary]
  }
}
