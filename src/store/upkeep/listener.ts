/**
 * Notices between replicas, by LISTEN/NOTIFY on one connection of its own. They are only hints: the
 * sweeper finds whatever is lost.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type pg from 'pg'
import type { Digits } from '../../core/message.ts'
import type { Target } from '../hosts.ts'
import { open } from '../setup/connect.ts'

/** One replica's end of the notices. */
export interface Listener {
  /**
   * Tells the other replicas, if there are any, that messages of a queue have become ready, and who has
   * called here lately. Notices of a few milliseconds are joined.
   */
  announce(queueId: Digits, count: number, position: number): void
  /** Tells them that leases of a queue with `maxLeased` have ended. */
  announceFree(queueId: Digits, count: number): void
  /** Tells them of callers that have let everybody wait at this process of the replica. */
  announceHeavy(processIndex: number, callerIds: string[]): void
  readonly connected: boolean
  stop(): Promise<void>
}

/** What a notice of another replica leads to. */
interface ListenerOptions {
  /** The name of the replica, if several processes share it. They hear one another in another way. */
  replica: string
  /** Who has called here lately. */
  callersHere: () => string[]
  /** These have called another replica lately. */
  onCallers: (callerIds: string[]) => void
  /** Messages of a queue have become ready, the first of them at this position. */
  onReady: (queueId: Digits, count: number, position: number) => void
  /** Leases of a queue with `maxLeased` have ended. */
  onFree: (queueId: Digits, count: number) => void
  /** Callers have let everybody wait at a process of another replica. */
  onHeavy: (place: string, callerIds: string[]) => void
  /** A message was stored that falls due at this time (ms since the epoch). */
  onDue: (timeMs: number) => void
  /** Connected, or connected again: notices before this may have been missed. */
  onGap: () => void
  onError: (error: unknown) => void
}

const channel = 'holdfast'
const joinMs = 5
/** Queues in one notice: a payload holds 8000 bytes. */
const noticeQueuesMax = 150
const heartbeatMs = 5000
// A replica is alone when it has heard no other for two heartbeats. Then it says nothing: each
// notice is a statement, a commit and a signal, and costs as much as a flush of messages.
const companyMs = 2.5 * heartbeatMs
const answerMsMax = 3000
const closeMsMax = 500
const reconnectMsMin = 100
const reconnectMsMax = 2000
const doublingsMax = 5

/**
 * Connects in the background, and reconnects for as long as it runs. It never throws: errors go to
 * `onError`.
 */
export function startListener(target: Target, options: ListenerOptions): Listener {
  return new PgListener(target, options)
}

// Every role of the database may send notices. What is no notice of ours is passed by.
const digits = /^\d{1,15}$/
const entries = { ready: /^\d{1,10}:\d{1,16}:\d{1,16}$/, free: /^\d{1,10}:\d{1,16}$/ }
/** Ids of callers may hold any character. */
const names = /^[\w-]+(?:,[\w-]+)*$/
const place = /^\d{1,4}$/

const encode = (ids: string[]) => ids.map(id => Buffer.from(id).toString('base64url')).join(',')

/** The ids in a part of a notice; none where it is no list of names. */
const decode = (text: string | undefined) =>
  text !== undefined && names.test(text)
    ? text.split(',').map(name => Buffer.from(name, 'base64url').toString())
    : []

class PgListener implements Listener {
  readonly #target: Target
  readonly #options: ListenerOptions
  readonly #running: Promise<void>
  readonly #self: string
  readonly #pending = new Map<Digits, { count: number; position: number }>()
  readonly #pendingFrees = new Map<Digits, number>()
  readonly #stopping = new AbortController()
  #client: pg.Client | null = null
  #timer: NodeJS.Timeout | undefined
  #answered: Promise<unknown> = Promise.resolve()
  #heardMs = 0

  constructor(target: Target, options: ListenerOptions) {
    this.#target = target
    this.#options = options
    this.#self = options.replica || randomUUID().slice(0, 8)
    this.#running = this.#run()
  }

  get connected(): boolean {
    return this.#client !== null
  }

  announce(queueId: Digits, count: number, position: number): void {
    if (!this.#isInCompany) return
    const joined = this.#pending.get(queueId) ?? { count: 0, position }
    this.#pending.set(queueId, {
      count: joined.count + count,
      position: Math.min(joined.position, position)
    })
    this.#timer ??= setTimeout(() => this.#send(), joinMs)
  }

  announceFree(queueId: Digits, count: number): void {
    if (!this.#isInCompany) return
    this.#pendingFrees.set(queueId, (this.#pendingFrees.get(queueId) ?? 0) + count)
    this.#timer ??= setTimeout(() => this.#send(), joinMs)
  }

  announceHeavy(processIndex: number, callerIds: string[]): void {
    if (this.#client === null || !this.#isInCompany) return
    this.#tell(this.#client, `heavy ${processIndex} ${encode(callerIds)}`).catch(this.#options.onError)
  }

  get #isInCompany(): boolean {
    return this.#client !== null && performance.now() <= this.#heardMs + companyMs
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await this.#running
  }

  async #run(): Promise<void> {
    for (let failures = 0; !this.#stopping.signal.aborted; failures++) {
      const startedMs = performance.now()
      await this.#connection().catch(this.#options.onError)
      if (performance.now() - startedMs > heartbeatMs) failures = 0
      await this.#pause(Math.min(reconnectMsMax, reconnectMsMin * 2 ** Math.min(failures, doublingsMax)))
    }
  }

  /** One connection, from its beginning to its end. */
  async #connection(): Promise<void> {
    const client = await open(this.#target, {
      application_name: 'holdfast listener',
      connectionTimeoutMillis: answerMsMax,
      query_timeout: answerMsMax,
      keepAlive: true
    })
    const ended = new Promise<'ended'>(resolve => {
      client.on('end', () => resolve('ended'))
      client.on('error', error => {
        this.#options.onError(error)
        resolve('ended')
      })
    })
    try {
      client.on('notification', ({ payload }) => {
        if (payload) this.#hear(payload)
      })
      await client.query(`set idle_session_timeout = 0; listen ${channel}`)
      this.#client = client
      this.#heardMs = performance.now() // nothing is known of the others yet
      this.#options.onGap()
      while (!this.#stopping.signal.aborted) {
        await this.#tell(client, 'here') // on a half-open connection this fails within its time
        if ((await Promise.race([ended, this.#pause(heartbeatMs)])) === 'ended') break
      }
    } finally {
      this.#client = null
      await Promise.race([client.end().catch(() => {}), pause(closeMsMax)])
    }
  }

  /** Waits, but not beyond a stop. */
  async #pause(ms: number): Promise<void> {
    await pause(ms, undefined, { signal: this.#stopping.signal }).catch(() => {})
  }

  #hear(payload: string): void {
    const [from, kind, text, callers] = payload.split(' ', 4)
    if (from === this.#self) return
    if (kind === 'here') this.#heardMs = performance.now()
    if (text === undefined) return
    if (kind === 'due' && digits.test(text)) this.#options.onDue(Number(text))
    const callerIds = decode(callers)
    if (kind === 'heavy' && place.test(text) && callerIds.length > 0) {
      this.#options.onHeavy(`${from}/${text}`, callerIds)
    }
    if (kind !== 'ready' && kind !== 'free') return
    this.#options.onCallers(callerIds)
    for (const entry of text.split(',')) {
      if (!entries[kind].test(entry)) continue
      const [queueId, count, position] = entry.split(':')
      if (kind === 'ready') this.#options.onReady(queueId!, Number(count), Number(position))
      else this.#options.onFree(queueId!, Number(count))
    }
  }

  // One at a time: a connection takes no query before it has answered the last.
  #tell(client: pg.Client, notice: string): Promise<unknown> {
    // Hints need no flush of their own. This is said of each commit alone: a pooler may give the
    // session to somebody whose commits do.
    const answer = this.#answered.then(() =>
      client.query("select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)", [
        channel,
        `${this.#self} ${notice}`
      ])
    )
    this.#answered = answer.catch(() => {})
    return answer
  }

  async #send(): Promise<void> {
    const ready = takeSome(this.#pending).map(([id, { count, position }]) => `${id}:${count}:${position}`)
    const free = takeSome(this.#pendingFrees).map(([id, count]) => `${id}:${count}`)
    for (const [kind, entries] of Object.entries({ ready, free })) {
      if (this.#client === null || entries.length === 0) continue
      const callers = encode(this.#options.callersHere())
      await this.#tell(this.#client, `${kind} ${entries.join(',')} ${callers}`).catch(this.#options.onError)
    }
    this.#timer =
      this.#pending.size + this.#pendingFrees.size > 0 ? setTimeout(() => this.#send(), joinMs) : undefined
  }
}

/** Takes what is to be told in one notice. */
function takeSome<T>(pending: Map<Digits, T>): [Digits, T][] {
  const entries = [...pending].slice(0, noticeQueuesMax)
  for (const [queueId] of entries) pending.delete(queueId)
  return entries
}
