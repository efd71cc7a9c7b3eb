/**
 * What a replica counts from one step of the series to the next: how long messages waited and were
 * worked on, and who asked for some.
 */
import type { Digits } from '../message.ts'

/** Times are counted in buckets that double: the first is below 1 ms, the last from 2^27 ms (37 hours) on. */
export const bucketsCount = 29

/** `askedMs` is by the clock of `performance.now()`; 0: not asked. */
export interface Step {
  askedMs: number
  waits: number[]
  works: number[]
}
export interface Times {
  buckets: number[]
  sumMs: number
}

// Beyond so many queues in a step, or messages in two hands' worth of memory, nothing is counted of the rest.
const queuesMax = 10_000
const rememberedMax = 20_000
// Of a flush that leased more, so many are timed, spread over it: that is enough, and costs the rest nothing.
const timedMax = 8

/**
 * Waiting: from the enqueue to the lease, both by the database's clock, of messages that were
 * ready from their enqueue on. Of those that were delayed or came back it is not known since when
 * they were ready, so they are left out. Working: from the lease to the ack, of messages that this
 * replica has both leased and acked.
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
  #steps = new Map<Digits, Step>()
  // Leases that are never acked here leave when the older half does.
  #leased = new Map<string, number>()
  #leasedBefore = new Map<string, number>()

  flushed(kind: keyof ReplicaStats['flushes'], messages: number): void {
    this.flushes[kind].count++
    this.flushes[kind].messages += messages
  }

  asked(queueId: Digits): void {
    const step = this.#step(queueId)
    if (step !== undefined) step.askedMs = performance.now()
  }

  /** Messages have been leased at this time (ms since the epoch) of the database. */
  leased(
    queueId: Digits,
    rows: { id: Digits; fence: Digits; position: Digits; enqueuedAt: string }[],
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

  /** Messages have been acked, each as `id.fence`. */
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

  /** When a lease was last asked for here, in this step (ms since the epoch); null when it was not. */
  askedMs(queueId: Digits): number | null {
    const askedMs = this.#steps.get(queueId)?.askedMs || null
    return askedMs === null ? null : Date.now() - (performance.now() - askedMs)
  }

  /** What has been counted since it was last taken. */
  take(): Map<Digits, Step> {
    const steps = this.#steps
    this.#steps = new Map()
    return steps
  }

  #step(queueId: Digits): Step | undefined {
    let step = this.#steps.get(queueId)
    if (step === undefined && this.#steps.size < queuesMax) {
      this.#steps.set(
        queueId,
        (step = { askedMs: 0, waits: Array(bucketsCount).fill(0), works: Array(bucketsCount).fill(0) })
      )
    }
    return step
  }
}

function bucketOf(ms: number): number {
  return ms < 2 ** (bucketsCount - 2) ? 32 - Math.clz32(ms) : bucketsCount - 1
}
