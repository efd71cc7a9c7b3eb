/** Enqueueing: the messages of many callers in one commit, over all queues. */
import { priorityDefault } from '../options.ts'
import { Batcher } from '../engine/batcher.ts'
import { AutoQueues } from '../engine/autoQueues.ts'
import type { Parts } from '../engine/parts.ts'
import { rounds } from '../engine/rounds.ts'
import type { Caller } from '../caller.ts'
import { QueueError } from '../errors.ts'
import { checkOrdered, hasLines, isOrdered } from '../lines.ts'
import { messageBytesMax } from '../limits.ts'
import { checkBodySize, type Digits, type Enqueued, type NewMessage } from '../message.ts'
import { enqueueDefaultsOf, type Queue } from '../queue.ts'
import type { EnqueueAnswer, EnqueueRow, Verbs } from '../ports.ts'

export const flushBytesMax = 4 * 1024 * 1024
/** Calls of this size have lanes of their own, so that small messages do not wait for their flushes. */
const largeBytes = 64 * 1024
/** What a message counts beside its body and its headers. */
const rowBytes = 256
/** Others may delete the queue again and again meanwhile. */
export const queueAttemptsMax = 10

/** One caller's messages. With `whole` they are stored all or none. */
interface Call {
  whole: boolean
  rows: EnqueueRow[]
  /** The queues of the rows. */
  queues: Queue[]
  bytes: number
}
/** null for each message whose queue is gone. */
type Answer = EnqueueAnswer[] | Error

export interface EnqueueingOptions {
  /** Whether the first enqueue makes an unknown queue. */
  createQueues: boolean
  /** Queues that enqueues, and keys that are not admin, may make. */
  autoQueuesMax: number
}

type Needs = Pick<Parts, 'store' | 'queueCache' | 'turns' | 'signals' | 'replicaStats' | 'bounds' | 'shares'>

/** The broker says what each method does, and how it refuses. */
export class Enqueueing {
  readonly #parts: Needs
  readonly #createQueues: boolean
  readonly #autoQueues: AutoQueues
  readonly #batcher: Batcher<Call, EnqueueAnswer[]>

  constructor(parts: Needs, { createQueues, autoQueuesMax }: EnqueueingOptions) {
    this.#parts = parts
    this.#createQueues = createQueues
    this.#autoQueues = new AutoQueues(parts.store, parts.turns, parts.shares.turns, autoQueuesMax)
    this.#batcher = new Batcher({
      ...parts.bounds,
      flush: (_lane, calls) => this.#flush(calls),
      weigh: call => call.bytes,
      count: call => call.rows.length,
      isUrgent: () => false,
      flushWeightMax: flushBytesMax,
      share: parts.shares.enqueueBytes,
      inFlightMax: 2
    })
  }

  refusal(caller: Caller): QueueError | null {
    return this.#batcher.refusal(caller)
  }

  /** Makes the queue if there is none. Refuses with tooManyQueues. */
  readonly makeQueue = (caller: Caller, name: string): Promise<void> => this.#autoQueues.make(caller, name)

  async enqueue(caller: Caller, name: string, messages: NewMessage[], list: boolean): Promise<Enqueued[]> {
    const { queueCache } = this.#parts
    for (let attempt = 1; attempt <= queueAttemptsMax; attempt++) {
      const queue = await this.target(caller, name)
      const toRow = rowsFor(queue)
      const rows = messages.map((message, index) => toRow(message, list ? `/messages/${index}` : ''))
      const answers = await this.add(caller, rows, [queue], list)
      if (answers.every(answer => answer !== null)) return answers
      // Another replica deleted the queue or gave it an order after it was looked up, so nothing was
      // stored.
      queueCache.forget(name)
    }
    throw new QueueError(
      'queueNotFound',
      `The queue ${name} was deleted during each of ${queueAttemptsMax} attempts; nothing was stored. ` +
        'Send the request again.'
    )
  }

  /** The queue of this name. It may be made. Refuses with queueNotFound, tooManyQueues. */
  target(caller: Caller, name: string): Promise<Queue> {
    return this.#parts.queueCache.find(caller, name, this.#createQueues ? this.makeQueue : undefined)
  }

  drained(): Promise<void> {
    return this.#batcher.drained()
  }

  /**
   * Stores messages of these queues in one commit; with `whole` all or none. null for each message
   * whose queue is gone, or has changed its settings. Refuses with idempotencyMismatch, queueFull,
   * overloaded.
   */
  add(caller: Caller, rows: EnqueueRow[], queues: Queue[], whole: boolean): Promise<EnqueueAnswer[]> {
    const bytes = bytesOf(rows)
    return this.#batcher.add(caller, laneOf(rows, queues, bytes), { whole, rows, queues, bytes })
  }

  async #flush(calls: Call[]): Promise<Answer[]> {
    const { store, replicaStats } = this.#parts
    const bounded = new Set(calls.flatMap(({ queues }) => queues.filter(isBounded).map(({ id }) => id)))
    const rooms = bounded.size === 0 ? new Map<Digits, number>() : await store.roomsIn([...bounded])
    const { answers, shared, single } = admit(calls, rooms)
    // The shared commit comes first. Should it fail, nothing of this flush was stored, and that is
    // every caller's answer.
    const stored = await this.#storeRounds(
      shared.flatMap(index => calls[index]!.rows),
      false
    )
    for (const index of shared) {
      answers[index] = refuseMismatch(stored.splice(0, calls[index]!.rows.length))
    }
    for (const index of single) {
      answers[index] = await this.#storeRounds(calls[index]!.rows, true, calls[index]!.queues).then(
        refuseMismatch,
        (error: Error) => error
      )
    }
    replicaStats.flushed(
      'enqueue',
      calls.reduce((sum, { rows }) => sum + rows.length, 0)
    )
    this.signal(calls, answers)
    return answers
  }

  // All rounds are one commit. With `whole`, one mismatch undoes it.
  async #storeRounds(rows: EnqueueRow[], whole: boolean, queues: Queue[] = []): Promise<EnqueueAnswer[]> {
    const { store } = this.#parts
    const split = roundsOf(rows)
    const work = async (verbs: Verbs) => {
      const answers = await storeInRounds(verbs, rows, split)
      const refusal = refuseMismatch(answers, rows, queues)
      if (whole && refusal instanceof Error) throw refusal
      return answers
    }
    return await (split.length > 1 || whole ? store.transaction(work) : work(store))
  }

  /** One signal for each queue that has new ready messages, one for each delayed message. */
  signal(calls: { rows: EnqueueRow[] }[], answers: Answer[]): void {
    const { signals } = this.#parts
    const ready = new Map<Digits, { count: number; position: number }>()
    for (const [index, answer] of answers.entries()) {
      if (answer instanceof Error) continue
      for (const [i, row] of calls[index]!.rows.entries()) {
        const stored = answer[i]
        if (stored == null || stored.duplicate) continue
        const dueMs =
          row.visibleAt !== undefined
            ? Date.parse(row.visibleAt)
            : Date.now() + (row.delaySeconds ?? row.defaults?.delaySeconds ?? 0) * 1000
        if (dueMs > Date.now()) {
          signals.onDue(dueMs)
          continue
        }
        if (stored.position === null) continue
        const { count, position } = ready.get(row.queueId) ?? { count: 0, position: Infinity }
        ready.set(row.queueId, { count: count + 1, position: Math.min(position, Number(stored.position)) })
      }
    }
    for (const [queueId, { count, position }] of ready) signals.onReady(queueId, count, position)
  }
}

/**
 * How messages become rows of a queue. `pointer` is the place of the message in the request. Refuses
 * with bodyTooLarge, and with invalidRequest what would change the order of the queue.
 */
export function rowsFor({ id, name, settings }: Queue): (message: NewMessage, pointer: string) => EnqueueRow {
  const ordered = isOrdered(settings)
  const lined = hasLines(settings)
  const defaults = enqueueDefaultsOf(settings)
  return (message, pointer) => {
    // Every message has passed the bound of the service already.
    if (settings.messageBytesMax < messageBytesMax) {
      checkBodySize(message.body, pointer, settings.messageBytesMax, name)
    }
    if (ordered) checkOrdered(message, pointer, name)
    return { ...message, queueId: id, priority: message.priority ?? priorityDefault, lined, defaults }
  }
}

/** What rows count while they wait to be stored. */
export function bytesOf(rows: EnqueueRow[]): number {
  let bytes = 0
  for (const { body, headers } of rows) {
    bytes += body.length + rowBytes
    for (const name in headers) bytes += name.length + headers[name]!.length
  }
  return bytes
}

// A statement can claim a key once. A key that comes twice goes into a later round, which sees the
// first one's row.
function roundsOf(rows: EnqueueRow[]): number[][] {
  return rounds([...rows.keys()], index => {
    const { queueId, idempotencyKey } = rows[index]!
    return idempotencyKey === undefined ? null : `${queueId} ${idempotencyKey}`
  })
}

/** Stores rows, one round of them after the other, for a caller that commits them. */
export async function storeInRounds(
  verbs: Verbs,
  rows: EnqueueRow[],
  split = roundsOf(rows)
): Promise<EnqueueAnswer[]> {
  const answers: EnqueueAnswer[] = Array(rows.length).fill(null)
  for (const indexes of split) {
    const stored = await verbs.enqueue(indexes.map(index => rows[index]!))
    stored.forEach((answer, i) => {
      answers[indexes[i]!] = answer
    })
  }
  return answers
}

const isBounded = ({ settings }: Queue) => settings.maxDepth !== null

// A queue with a maxDepth has a lane of its own, in which its room is counted. Calls of several
// queues share one for that.
function laneOf(rows: EnqueueRow[], queues: Queue[], bytes: number): string {
  if (queues.some(isBounded)) return queues.length === 1 ? queues[0]!.id : 'bounded'
  const kinds = [
    hasKeys(rows) ? 'keyed' : 'plain',
    ...(rows.some(({ lined }) => lined) ? ['lined'] : []),
    ...(bytes < largeBytes ? [] : ['large'])
  ]
  return kinds.join(' ')
}

// Refuses calls for which a queue has no room. Of the others, `shared` can share a commit, and
// `single` need one each: those are stored whole and have keys. One key that stands for other
// content must undo its whole call, and nothing else.
function admit(
  calls: Call[],
  rooms: Map<Digits, number>
): { answers: Answer[]; shared: number[]; single: number[] } {
  const answers: Answer[] = Array(calls.length)
  const shared: number[] = []
  const single: number[] = []
  for (const [index, call] of calls.entries()) {
    const full = rooms.size === 0 ? null : takeRoom(call, rooms)
    if (full !== null) {
      answers[index] = queueFull(full)
      continue
    }
    if (call.whole && hasKeys(call.rows)) single.push(index)
    else shared.push(index)
  }
  return { answers, shared, single }
}

// Takes the room that a call needs, unless one of its queues has not enough; then answers that one.
function takeRoom({ rows, queues }: Call, rooms: Map<Digits, number>): Queue | null {
  const needed = new Map<Digits, number>()
  for (const { queueId } of rows) needed.set(queueId, (needed.get(queueId) ?? 0) + 1)
  const full = queues.find(({ id }) => needed.get(id)! > (rooms.get(id) ?? Infinity))
  if (full !== undefined) return full
  for (const [id, count] of needed) if (rooms.has(id)) rooms.set(id, rooms.get(id)! - count)
  return null
}

function hasKeys(rows: EnqueueRow[]): boolean {
  return rows.some(row => row.idempotencyKey !== undefined)
}

function queueFull({ name }: Queue): QueueError {
  return new QueueError(
    'queueFull',
    `The queue ${name} holds as many messages as its maxDepth allows; nothing was stored. Send the ` +
      'request again when some have been acked.'
  )
}

// Of calls of several queues, the refusal names the queue.
function refuseMismatch(answers: EnqueueAnswer[], rows: EnqueueRow[] = [], queues: Queue[] = []): Answer {
  const wrong = answers.findIndex(answer => answer?.mismatch)
  if (wrong >= 0) {
    const queue = queues.length > 1 && queues.find(({ id }) => id === rows[wrong]!.queueId)
    const where = queue ? ` in the queue ${queue.name}` : ''
    return new QueueError(
      'idempotencyMismatch',
      `This idempotency key was used for other content not long ago${where}; nothing was stored. Use a ` +
        'new key for a new message.'
    )
  }
  return answers
}
