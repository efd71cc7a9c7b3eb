/**
 * Notices between replicas, by LISTEN/NOTIFY on one connection of its own. Hints only: whatever is
 * lost, the sweeper's net finds.
 */
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import type { Digits } from '../../core/message.ts'

export interface Listener {
  /**
   * Tells the other replicas, if there are any, that messages of a queue have become ready; joined
   * with what else is said within a few milliseconds.
   */
  announce(queueId: Digits, count: number, position: number): void
  readonly connected: boolean
  stop(): Promise<void>
}

export interface ListenerOptions {
  onReady: (queueId: Digits, count: number, position: number) => void
  /** A message was stored that falls due at this time (ms since the epoch). */
  onDue: (timeMs: number) => void
  /** Connected again after a gap: nobody can say what was missed. */
  onGap: () => void
  onError: (error: unknown) => void
}

const channel = 'holdfast'
const joinMs = 5
const noticeQueuesMax = 150 // a payload holds 8000 bytes
const heartbeatMs = 5000
// A replica that has not been heard for two of its heartbeats is taken for gone, and one that is
// alone says nothing: each notice is a statement, a commit and a signal, as dear as a flush of
// messages.
const companyMs = 2.5 * heartbeatMs
const answerMsMax = 3000

/** Connects in the background and reconnects for as long as it runs. */
export function startListener(config: pg.ClientConfig, options: ListenerOptions): Listener {
  const self = randomUUID().slice(0, 8)
  const pending = new Map<Digits, { count: number; position: number }>()
  let client: pg.Client | null = null
  let timer: NodeJS.Timeout | undefined
  let answered: Promise<unknown> = Promise.resolve()
  const stopping = new AbortController()
  let hurry = () => {}
  let heardMs = 0

  async function connection(): Promise<void> {
    const fresh = new pg.Client({
      ...config,
      application_name: 'holdfast listener',
      connectionTimeoutMillis: answerMsMax,
      query_timeout: answerMsMax,
      keepAlive: true
    })
    const ended = new Promise<void>(resolve =>
      fresh.on('end', resolve).on('error', error => {
        options.onError(error)
        resolve()
      })
    )
    try {
      await fresh.connect()
      fresh.on('notification', ({ payload }) => {
        if (payload) hear(payload)
      })
      // Hints need no flush of their own.
      await fresh.query(`set synchronous_commit = off; listen ${channel}`)
      client = fresh
      heardMs = performance.now() // of others nothing is known yet
      options.onGap()
      while (!stopping.signal.aborted) {
        await tell(fresh, 'here') // a half-open connection fails this within its time
        const beat = await Promise.race([ended.then(() => false), pause(heartbeatMs).then(() => true)])
        if (!beat) break
      }
    } finally {
      client = null
      await Promise.race([fresh.end().catch(() => {}), new Promise(resolve => setTimeout(resolve, 500))])
    }
  }

  async function run(): Promise<void> {
    for (let failures = 0; !stopping.signal.aborted; failures++) {
      const startedMs = performance.now()
      await connection().catch(options.onError)
      if (performance.now() - startedMs > heartbeatMs) failures = 0
      if (!stopping.signal.aborted) await pause(Math.min(2000, 100 * 2 ** Math.min(failures, 5)))
    }
  }

  function pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, ms)
      hurry = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  function hear(payload: string): void {
    const [from, kind, text] = payload.split(' ', 3)
    if (from === self) return
    if (kind === 'here') heardMs = performance.now()
    if (text === undefined) return
    if (kind === 'due') options.onDue(Number(text))
    if (kind !== 'ready') return
    for (const part of text.split(',')) {
      const [queueId, count, position] = part.split(':')
      options.onReady(queueId!, Number(count), Number(position))
    }
  }

  // One at a time: a connection takes no query before it has answered the last.
  function tell(client: pg.Client, notice: string): Promise<unknown> {
    const answer = answered.then(() =>
      client.query('select pg_notify($1, $2)', [channel, `${self} ${notice}`])
    )
    answered = answer.catch(() => {})
    return answer
  }

  async function send(): Promise<void> {
    const parts = [...pending].slice(0, noticeQueuesMax)
    for (const [queueId] of parts) pending.delete(queueId)
    if (client !== null) {
      await tell(
        client,
        `ready ${parts.map(([queueId, { count, position }]) => `${queueId}:${count}:${position}`).join(',')}`
      ).catch(options.onError)
    }
    timer = pending.size > 0 ? setTimeout(send, joinMs) : undefined
  }

  const running = run()
  return {
    get connected() {
      return client !== null
    },
    announce(queueId, count, position) {
      if (client === null || performance.now() > heardMs + companyMs) return
      const known = pending.get(queueId)
      pending.set(
        queueId,
        known === undefined
          ? { count, position }
          : { count: known.count + count, position: Math.min(known.position, position) }
      )
      timer ??= setTimeout(send, joinMs)
    },
    async stop() {
      stopping.abort()
      clearTimeout(timer)
      hurry()
      await running
    }
  }
}
