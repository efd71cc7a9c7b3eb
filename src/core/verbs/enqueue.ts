/** Enqueueing: the messages of many callers in one commit, over all queues. */
import { Batcher, type Bounds } from '../engine/batcher.ts'
import type { ReplicaStats } from '../engine/replicaStats.ts'
import { rounds } from '../engine/rounds.ts'
import type { Signals } from '../engine/signals.ts'
import { QueueError } from '../errors.ts'
import type { Digits, Enqueued } from '../message.ts'
import type { EnqueueAnswer, EnqueueRow, Store, Verbs } from '../ports.ts'

const flushBytesMax = 4 * 1024 * 1024
const rowBytes = 256

interface Call {
  list: boolean
  rows: EnqueueRow[]
  bytes: number
}

export class Enqueueing {
  readonly #store: Store
  readonly #signals: Signals
  readonly #replicaStats: ReplicaStats
  readonly #batcher: Batcher<Call, (Enqueued | null)[]>

  /** `waitingBytesMax`: bytes of messages that may wait for a flush. */
  constructor(
    store: Store,
    signals: Signals,
    replicaStats: ReplicaStats,
    waitingBytesMax: number,
    bounds: Bounds
  ) {
    this.#store = store
    this.#signals = signals
    this.#replicaStats = replicaStats
    this.#batcher = new Batcher({
      ...bounds,
      flush: (lane, calls) => this.#flush(lane, calls),
      weigh: call => call.bytes,
      count: call => call.rows.length,
      isUrgent: () => false,
      flushWeightMax: flushBytesMax,
      waitingWeightMax: waitingBytesMax,
      inFlightMax: 2
    })
  }

  /** Whether one more would be refused with overloaded just now. */
  get full(): boolean {
    return this.#batcher.full
  }

  /**
   * Stores messages of one queue, all or none of a list; null for each whose queue is gone. A
   * `bounded` queue has a lane of its own, in which its room is asked for.
   */
  add(rows: EnqueueRow[], list: boolean, bounded: boolean): Promise<(Enqueued | null)[]> {
    const bytes = rows.reduce((sum, row) => sum + row.body.length + rowBytes, 0)
    const lane = bounded
      ? rows[0]!.queueId
      : rows.some(row => row.idempotencyKey !== undefined)
        ? 'keyed'
        : 'plain'
    return this.#batcher.add(lane, { list, rows, bytes })
  }

  drained(): Promise<void> {
    return this.#batcher.drained()
  }

  async #flush(lane: string, calls: Call[]): Promise<((Enqueued | null)[] | Error)[]> {
    const answers: ((Enqueued | null)[] | Error)[] = Array(calls.length)
    let room =
      lane === 'plain' || lane === 'keyed' ? Infinity : ((await this.#store.roomIn(lane)) ?? Infinity)
    const together: number[] = []
    const alone: number[] = []
    for (const [index, { list, rows }] of calls.entries()) {
      if (rows.length > room) {
        answers[index] = new QueueError(
          'queueFull',
          'The queue holds as many messages as its maxDepth ' +
            `allows${list ? '; nothing of the list was stored' : ''}. Send the request again ` +
            'when some have been acked.'
        )
        continue
      }
      room -= rows.length
      // A list is all or none, also when one of its keys stands for other content: that needs a
      // transaction of its own.
      if (list && rows.some(row => row.idempotencyKey !== undefined)) alone.push(index)
      else together.push(index)
    }
    // First what is shared: should it fail, nothing of this flush has been stored, which is then
    // every caller's answer.
    const stored = await this.#storeRounds(
      together.flatMap(index => calls[index]!.rows),
      false
    )
    for (const index of together) answers[index] = refuseMismatch(stored.splice(0, calls[index]!.rows.length))
    for (const index of alone) {
      answers[index] = await this.#storeRounds(calls[index]!.rows, true).then(
        refuseMismatch,
        (error: Error) => error
      )
    }
    const ready = new Map<Digits, { count: number; position: number }>()
    this.#replicaStats.flushed(
      'enqueue',
      calls.reduce((sum, { rows }) => sum + rows.length, 0)
    )
    for (const [index, answer] of answers.entries()) {
      if (answer instanceof Error) continue
      for (const [i, row] of calls[index]!.rows.entries()) {
        const stored = answer[i]
        if (stored == null || stored.duplicate) continue
        const dueMs =
          row.visibleAt !== undefined
            ? Date.parse(row.visibleAt)
            : Date.now() + (row.delaySeconds ?? 0) * 1000
        if (dueMs > Date.now()) {
          this.#signals.onDue(dueMs)
          continue
        }
        const { count, position } = ready.get(row.queueId) ?? { count: 0, position: Infinity }
        ready.set(row.queueId, { count: count + 1, position: Math.min(position, Number(stored.id)) })
      }
    }
    for (const [queueId, { count, position }] of ready) this.#signals.onReady(queueId, count, position)
    return answers
  }

  // A statement can claim a key once, so a key that comes twice goes in a later round, which sees
  // the first one's row. All rounds are one commit; with `whole`, one mismatch undoes it.
  async #storeRounds(rows: EnqueueRow[], whole: boolean): Promise<EnqueueAnswer[]> {
    const parts = rounds([...rows.keys()], index =>
      rows[index]!.idempotencyKey === undefined
        ? null
        : `${rows[index]!.queueId} ${rows[index]!.idempotencyKey}`
    )
    const store = async (verbs: Verbs) => {
      const answers: EnqueueAnswer[] = Array(rows.length).fill(null)
      for (const part of parts) {
        const stored = await verbs.enqueue(part.map(index => rows[index]!))
        stored.forEach((answer, i) => {
          answers[part[i]!] = answer
        })
      }
      const refusal = refuseMismatch(answers)
      if (whole && refusal instanceof Error) throw refusal
      return answers
    }
    return await (parts.length > 1 || whole ? this.#store.transaction(store) : store(this.#store))
  }
}

function refuseMismatch(answers: EnqueueAnswer[]): (Enqueued | null)[] | Error {
  if (answers.some(answer => answer?.mismatch)) {
    return new QueueError(
      'idempotencyMismatch',
      'This idempotency key was used for other content not long ago; nothing was stored. Use a new ' +
        'key for a new message.'
    )
  }
  return answers.map(answer => (answer === null ? null : { id: answer.id, duplicate: answer.duplicate }))
}
