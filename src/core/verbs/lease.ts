/** Leasing: takes messages for a time, and waits for the first one if asked to. */
import type { Caller } from '../caller.ts'
import type { Parts } from '../engine/parts.ts'
import { partlyDone } from '../errors.ts'
import type { Digits, LeasedMessage } from '../message.ts'
import type { LeaseAsk, LeasedRow } from '../ports.ts'
import type { Queue } from '../queue.ts'
import { formatReceipt, type Lease } from '../receipt.ts'
import type { ActiveSettings } from '../settings.ts'
import type { LeaseFlushes } from './leaseFlush.ts'
import { readReceipts } from './receipts.ts'
import type { Outcome, Settling } from './settle.ts'

export interface LeaseRequest extends LeaseAsk {
  /** null: as the settings of the queue say. */
  waitSeconds: number | null
}

export interface Leased {
  messages: LeasedMessage[]
  /** What became of the receipts that were to be acked, in their order. */
  outcomes: Outcome[]
  /** How the messages wait for one another. Missing without messages. */
  ordering?: ActiveSettings['ordering']
}

type Needs = Pick<Parts, 'queueCache' | 'swallow' | 'wakeups'>

/**
 * Once the last message of a queue that moves has gone, the router sends leases to the other cell.
 * Those that wait here have to end soon, to be sent there.
 */
const movingWaitSecondsMax = 1

const waitMsOf = ({ movingTo }: Queue, seconds: number) =>
  1000 * (movingTo === null ? seconds : Math.min(seconds, movingWaitSecondsMax))

/** The signal of a call that does not wait, and so cannot be given up. */
const never = new AbortController().signal

/** One call of `lease` under way. */
interface Call {
  readonly caller: Caller
  readonly request: LeaseRequest
  /** As it was found last. A call that waits finds it again after each wake. */
  queue: Queue
  readonly beganMs: number
  readonly waitSeconds: number
  readonly signal: AbortSignal
  /** What is not acked yet. The first attempt to lease acks all of it. */
  acksLeft: Lease[]
  /** The indexes, among the receipts, of those that are acked. The queue of the others is gone. */
  readonly current: number[]
  /** One for each receipt, in their order. */
  readonly outcomes: Outcome[]
}

/** core/broker.ts says what the methods do, and how they refuse. */
export class Leasing {
  readonly #parts: Needs
  readonly #flushes: LeaseFlushes
  readonly #settling: Settling

  constructor(parts: Needs, flushes: LeaseFlushes, settling: Settling) {
    this.#parts = parts
    this.#flushes = flushes
    this.#settling = settling
  }

  async lease(
    caller: Caller,
    name: string,
    request: LeaseRequest,
    receipts: string[],
    signalOf: () => AbortSignal
  ): Promise<Leased> {
    const beganMs = performance.now()
    const pointer = (index: number) => `/ack/${index}`
    const read = await readReceipts(this.#parts.queueCache, caller, name, receipts, pointer)
    const { queue, leases, current } = read
    const waitSeconds = request.waitSeconds ?? queue.settings.waitSeconds
    const call: Call = {
      caller,
      request,
      queue,
      beganMs,
      waitSeconds,
      signal: waitSeconds > 0 ? signalOf() : never,
      acksLeft: current.map(index => leases[index]!),
      current,
      outcomes: receipts.map(() => ({ outcome: 'gone' }))
    }
    try {
      return answerTo(call, await this.#leaseOrWait(call))
    } catch (error) {
      const hasAcked = current.length > 0 && call.acksLeft.length === 0
      if (!hasAcked) throw error
      // The acks are committed, so the caller gets their outcomes although the rest failed. With an
      // idempotency key, messages may be leased already. The caller then gets an error, so that it
      // asks for them again.
      if (request.idempotencyKey !== null) throw partlyDone(error as Error)
      this.#parts.swallow(error)
      return answerTo(call, [])
    }
  }

  /** Leases, and waits for the first message. None: the time is up, or the caller has gone. */
  async #leaseOrWait(call: Call): Promise<LeasedRow[]> {
    const { queueCache, wakeups } = this.#parts
    const { caller, waitSeconds, signal } = call
    for (;;) {
      // The seat is taken before the attempt. Otherwise the wait could miss a message that commits
      // right after the attempt.
      const seat = waitSeconds > 0 ? wakeups.sit(caller, { queueId: call.queue.id }) : null
      try {
        const rows = await this.#leaseReady(call)
        if (rows.length > 0 || seat === null) return rows
        const isWoken = await seat.wait(call.beganMs + waitMsOf(call.queue, waitSeconds), signal)
        if (!isWoken) return []
      } finally {
        seat?.leave()
      }
      // While it waited, the queue may have got other settings, or may have been deleted.
      call.queue = await queueCache.find(caller, call.queue.name)
    }
  }

  /** Acks what is left to ack, and leases what is ready now. */
  async #leaseReady(call: Call): Promise<LeasedRow[]> {
    const { caller, request, queue, signal } = call
    for (;;) {
      const answer = await this.#flushes.lease(caller, queue, request, call.acksLeft)
      noteAcked(call, answer.outcomes)
      const rows = answer.used ? await this.#flushes.leaseAgain(caller, queue, request) : answer.rows
      if (rows.length === 0) {
        if (answer.more && !signal.aborted) continue
        return []
      }
      // With a key, the caller may have got these messages by a repeat of the call meanwhile.
      if (!signal.aborted || request.idempotencyKey !== null) return rows
      await this.#giveBack(caller, queue, rows)
      return []
    }
  }

  // For a caller that hung up while the store leased its messages.
  async #giveBack(caller: Caller, queue: Queue, rows: LeasedRow[]): Promise<void> {
    const held = rows.map(({ id, fence }) => ({ id, fence }))
    await this.#settling.commit(caller, 'release', queue, held)
  }
}

/** The acks of a call are committed: all of them with its first attempt. */
function noteAcked(call: Call, outcomes: Outcome[]): void {
  for (const index of call.acksLeft.keys()) call.outcomes[call.current[index]!] = outcomes[index]!
  call.acksLeft = []
}

function answerTo({ queue, outcomes }: Call, rows: LeasedRow[]): Leased {
  if (rows.length === 0) return { messages: [], outcomes }
  const messages = rows.map(row => leasedMessage(queue.name, queue.id, row))
  return { messages, outcomes, ordering: queue.settings.ordering }
}

function leasedMessage(name: string, queueId: Digits, row: LeasedRow): LeasedMessage {
  return {
    id: row.id,
    receipt: formatReceipt(name, { queueId, id: row.id, fence: row.fence }),
    fence: Number(row.fence),
    attempt: row.attempt,
    maxAttempts: row.maxAttempts,
    body: row.body,
    bodyBytes: row.bodyBytes,
    contentType: row.contentType,
    headers: row.headers,
    marks: row.marks,
    priority: row.priority,
    enqueuedAt: row.enqueuedAt,
    leaseExpiresAt: row.leaseExpiresAt,
    lastFailure: row.lastFailure,
    origin: row.origin
  }
}
