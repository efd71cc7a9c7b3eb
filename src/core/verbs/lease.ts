/** Leasing: takes messages for a time, and waits for the first one if asked to. */
import type { Caller } from '../caller.ts'
import type { Parts } from '../engine/parts.ts'
import { partlyDone } from '../errors.ts'
import type { Digits, LeasedMessage } from '../message.ts'
import type { LeaseAsk, LeasedRow } from '../ports.ts'
import type { Queue } from '../queue.ts'
import { formatReceipt } from '../receipt.ts'
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

type Needs = Pick<Parts, 'queueCache' | 'wakeups'>

/**
 * Once the last message of a queue that moves has gone, the router sends leases to the other cell.
 * Those that wait here have to end soon, to be sent there.
 */
const movingWaitSecondsMax = 1

const waitMsOf = ({ movingTo }: Queue, seconds: number) =>
  1000 * (movingTo === null ? seconds : Math.min(seconds, movingWaitSecondsMax))

/** The signal of a call that does not wait, and so cannot be given up. */
const never = new AbortController().signal

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
    const { queueCache, wakeups } = this.#parts
    const pointer = (index: number) => `/ack/${index}`
    let { queue, leases, current } = await readReceipts(queueCache, caller, name, receipts, pointer)
    const waitSeconds = request.waitSeconds ?? queue.settings.waitSeconds
    const signal = waitSeconds > 0 ? signalOf() : never
    let acks = current.map(index => leases[index]!)
    const outcomes: Outcome[] = receipts.map(() => ({ outcome: 'gone' }))
    try {
      for (;;) {
        // The seat is taken before the attempt. Otherwise the wait could miss a message that commits
        // right after the attempt.
        const seat = waitSeconds > 0 ? wakeups.sit(caller, { queueId: queue.id }) : null
        try {
          for (let more = true; more;) {
            const answer = await this.#flushes.lease(caller, queue, request, acks)
            acks.forEach((_, i) => {
              outcomes[current[i]!] = answer.outcomes[i]!
            })
            acks = []
            const rows = answer.used ? await this.#flushes.leaseAgain(caller, queue, request) : answer.rows
            // With a key, the caller may have got these messages by a repeat of the call meanwhile.
            if (rows.length > 0 && signal.aborted && request.idempotencyKey === null) {
              await this.#giveBack(caller, queue, rows)
              return { messages: [], outcomes }
            }
            if (rows.length > 0) {
              const messages = rows.map(row => leasedMessage(name, queue.id, row))
              return { messages, outcomes, ordering: queue.settings.ordering }
            }
            more = answer.more && !signal.aborted
          }
          const untilMs = beganMs + waitMsOf(queue, waitSeconds)
          if (seat === null || !(await seat.wait(untilMs, signal))) return { messages: [], outcomes }
        } finally {
          seat?.leave()
        }
        queue = await queueCache.find(caller, name)
      }
    } catch (error) {
      if (current.length === 0 || acks.length > 0) throw error
      // The acks are committed, so the caller gets their outcomes although the rest failed. With an
      // idempotency key, messages may be leased already. The caller then gets an error, so that it
      // asks for them again.
      if (request.idempotencyKey !== null) throw partlyDone(error as Error)
      return { messages: [], outcomes }
    }
  }

  // For a caller that hung up while the store leased its messages.
  async #giveBack(caller: Caller, queue: Queue, rows: LeasedRow[]): Promise<void> {
    const held = rows.map(({ id, fence }) => ({ id, fence }))
    await this.#settling.commit(caller, 'release', queue, held)
  }
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
