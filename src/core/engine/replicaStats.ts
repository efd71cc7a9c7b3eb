/**
 * What a replica counts in each step of the series. It counts how long messages waited and how long
 * they were worked on. It notes which queues were asked for messages.
 */
import type { Digits } from '../message.ts'
import type { LeasedRow } from '../ports.ts'

/**
 * Times are counted in buckets that double. The first is below 1 ms, the last from 2^27 ms (37
 * hours) on.
 */
export const bucketsCount = 29

/** What is counted of one queue. */
export interface Step {
  /** When messages were last asked for, on the clock of `performance.now()`. 0: never. */
  askedMs: number
  waits: number[]
  works: number[]
}
export interface Times {
  buckets: number[]
  sumMs: number
}

/** Queues in a step. Further queues are not counted. */
const queuesMax = 10_000
/** Leased messages in each of two maps. Older leases are forgotten, and their work is not timed. */
const rememberedMax = 20_000
/** Messages of one flush whose work is timed, spread evenly over the flush. */
const timedMax = 8

/**
 * - Waiting is the time from the enqueue to the lease, both on the database's clock. It is counted
 *   for messages that were ready from their enqueue on. When a delayed or returned message became
 *   ready is not known.
 * - Working is the time from the lease to the ack. It is counted for messages that this replica
 *   both leased and acked.
 */
export class ReplicaStats {
  readonly waits: Times = { buckets: Array(bucketsCount).fill(0), sumMs: 0 }
  readonly works: Times = { buckets: Array(bucketsCount).fill(0), sumMs: 0 }
  /** Flushes that went to the database, and the messages in them. */
  readonly flushes = {
    enqueue: { count: 0, messages: 0 },
    lease: { count: 0, messages: 0 },
    ack: { count: 0, messages: 0 }
  }
  #staleDeletes = 0
  #steps = new Map<Digits, Step>()
  // Until the series is written, nobody else knows when messages were asked for in the last step.
  #lastSteps = new Map<Digits, Step>()
  // A full map replaces the older one. So leases that are never acked here are forgotten.
  #leased = new Map<string, number>()
  #leasedBefore = new Map<string, number>()

  /** Deletes whose lease was over or overtaken, so that they deleted nothing. */
  get staleDeletes(): number {
    return this.#staleDeletes
  }

  /** There was such a delete. */
  deletedNothing(): void {
    this.#staleDeletes++
  }

  /** A flush of this many messages went to the database. */
  flushed(kind: keyof ReplicaStats['flushes'], messages: number): void {
    this.flushes[kind].count++
    this.flushes[kind].messages += messages
  }

  /** Somebody asked for messages of a queue, or waits for them. */
  asked(queueId: Digits): void {
    const step = this.#step(queueId)
    if (step !== undefined) step.askedMs = performance.now()
  }

  /** Messages were leased at this time of the database, in ms since the epoch. */
  leased(
    queueId: Digits,
    rows: Pick<LeasedRow, 'id' | 'fence' | 'position' | 'enqueuedAt'>[],
    atMs: number
  ): void {
    if (rows.length === 0) return
    this.flushed('lease', rows.length)
    const step = this.#step(queueId)
    let text = ''
    let waitedMs = 0
    let bucket = 0
    for (const row of rows) {
      if (row.position !== row.id) continue
      if (row.enqueuedAt !== text) {
        text = row.enqueuedAt // messages of one enqueue share it
        waitedMs = Math.max(0, atMs - Date.parse(text))
        bucket = bucketOf(waitedMs)
      }
      if (step !== undefined) step.waits[bucket]!++
      this.waits.buckets[bucket]!++
      this.waits.sumMs += waitedMs
    }
    const nowMs = performance.now()
    for (let i = 0; i < rows.length; i += Math.ceil(rows.length / timedMax)) {
      this.#leased.set(`${rows[i]!.id}.${rows[i]!.fence}`, nowMs)
    }
    if (this.#leased.size < rememberedMax) return
    this.#leasedBefore = this.#leased
    this.#leased = new Map()
  }

  /** Messages were acked, each given as `id.fence`. */
  acked(queueId: Digits, keys: string[]): void {
    if (keys.length === 0) return
    this.flushed('ack', keys.length)
    const nowMs = performance.now()
    for (const key of keys) {
      const leasedMs = this.#leased.get(key) ?? this.#leasedBefore.get(key)
      if (leasedMs === undefined) continue
      const bucket = bucketOf(nowMs - leasedMs)
      const step = this.#step(queueId)
      if (step !== undefined) step.works[bucket]!++
      this.works.buckets[bucket]!++
      this.works.sumMs += nowMs - leasedMs
    }
  }

  /**
   * When messages were last asked for here, in ms since the epoch. null: neither in this step nor in
   * the last.
   */
  askedMs(queueId: Digits): number | null {
    const askedMs = this.#steps.get(queueId)?.askedMs || this.#lastSteps.get(queueId)?.askedMs || null
    return askedMs === null ? null : Date.now() - (performance.now() - askedMs)
  }

  /** Takes what was counted since the last call. */
  take(): Map<Digits, Step> {
    const steps = this.#steps
    this.#lastSteps = steps
    this.#steps = new Map()
    return steps
  }

  #step(queueId: Digits): Step | undefined {
    let step = this.#steps.get(queueId)
    if (step === undefined && this.#steps.size < queuesMax) {
      step = { askedMs: 0, waits: Array(bucketsCount).fill(0), works: Array(bucketsCount).fill(0) }
      this.#steps.set(queueId, step)
    }
    return step
  }
}

function bucketOf(ms: number): number {
  return ms < 2 ** (bucketsCount - 2) ? 32 - Math.clz32(ms) : bucketsCount - 1
}
