/** Leasing: takes messages for a time, and waits for the first one if asked to. */
import type { Parts } from '../engine/parts.ts'
import { partlyDone } from '../errors.ts'
import type { Digits, LeasedMessage } from '../message.ts'
import type { LeaseAsk, LeasedRow } from '../ports.ts'
import { formatReceipt } from '../receipt.ts'
import type { LeaseFlushes } from './leaseFlush.ts'
import { readReceipts } from './receipts.ts'
import type { Outcome, Settling } from './settle.ts'

export interface LeaseRequest extends LeaseAsk {
  waitSeconds: number
}

type Needs = Pick<Parts, 'queueCache' | 'wakeups'>

/** The broker says what each method does, and how it refuses. */
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
    name: string,
    request: LeaseRequest,
    receipts: string[],
    signal: AbortSignal
  ): Promise<{ messages: LeasedMessage[]; outcomes: Outcome[] }> {
    const untilMs = performance.now() + request.waitSeconds * 1000
    const { queueCache, wakeups } = this.#parts
    const pointer = (index: number) => `/ack/${index}`
    let { queue, leases, current } = await readReceipts(queueCache, name, receipts, pointer)
    let acks = current.map(index => leases[index]!)
    const outcomes: Outcome[] = receipts.map(() => ({ outcome: 'gone' }))
    try {
      for (;;) {
        // Taken before the attempt: else a message committed right after it would be missed.
        const seat = request.waitSeconds > 0 ? wakeups.sit({ queueId: queue.id }) : null
        try {
          for (let more = true; more;) {
            const answer = await this.#flushes.lease(queue.id, request, acks)
            acks.forEach((_, i) => {
              outcomes[current[i]!] = answer.outcomes[i]!
            })
            acks = []
            const rows = answer.used ? await this.#flushes.leaseAgain(queue.id, request) : answer.rows
            if (rows.length > 0 && signal.aborted) {
              await this.#giveBack(queue.id, rows)
              return { messages: [], outcomes }
            }
            if (rows.length > 0) {
              return { messages: rows.map(row => leasedMessage(name, queue.id, row)), outcomes }
            }
            more = answer.more && !signal.aborted
          }
          if (seat === null || !(await seat.wait(untilMs, signal))) return { messages: [], outcomes }
        } finally {
          seat?.leave()
        }
        queue = await queueCache.find(name)
      }
    } catch (error) {
      if (current.length === 0 || acks.length > 0) throw error
      // The acks are committed, so their outcomes are the answer, even if the wait failed. But with
      // a key, messages may have been leased that the caller must ask for again.
      if (request.idempotencyKey !== null) throw partlyDone(error as Error)
      return { messages: [], outcomes }
    }
  }

  // The caller hung up while its messages were leased.
  async #giveBack(queueId: Digits, rows: LeasedRow[]): Promise<void> {
    const held = rows.map(({ id, fence }) => ({ id, fence }))
    await this.#settling.commit('release', queueId, held)
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
    priority: row.priority,
    enqueuedAt: row.enqueuedAt,
    leaseExpiresAt: row.leaseExpiresAt,
    lastFailure: row.lastFailure
  }
}
