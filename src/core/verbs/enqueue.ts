/** Enqueueing: the messages of many callers in one commit, over all queues. */
import { priorityDefault } from '../options.ts'
import { Batcher } from '../engine/batcher.ts'
import { AutoQueues } from '../engine/autoQueues.ts'
import type { Parts } from '../engine/parts.ts'
import { rounds } from '../engine/rounds.ts'
import { ReadyCounts } from '../engine/signals.ts'
import { theService, type Caller } from '../caller.ts'
import { idempotencyMismatch, queueFull, uniqueGroup } from '../enqueueRefusals.ts'
import { pointedAt, type QueueError } from '../errors.ts'
import { largeBytes } from '../large.ts'
import { checkOrdered, hasLines, isOrdered } from '../lines.ts'
import { messageBytesMax } from '../limits.ts'
import { checkBodySize, type Digits, type Enqueued, type NewMessage } from '../message.ts'
import { deletedEachTime, enqueueDefaultsOf, queueAttemptsMax, wrongCell, type Queue } from '../queue.ts'
import type { EnqueueAnswer, EnqueueRow, Verbs } from '../ports.ts'
import { collapse, uniqueKeyOf } from '../unique.ts'

export const flushBytesMax = 4 * 1024 * 1024
/** What a message counts beside its body and its headers. */
export const rowBytes = 256
/** How often a flush is done again that others outran. */
const outrunMax = 5

const undone = 'nothing was stored'

/** One caller's messages. With `whole` they are stored all or none. */
interface Call {
  whole: boolean
  rows: EnqueueRow[]
  /** The queues of the rows. */
  queues: Queue[]
  bytes: number
}
/** What decides the lane of a call. */
interface Laned extends Omit<Call, 'rows'> {
  rows: (NewMessage & Pick<Partial<EnqueueRow>, 'firstWins' | 'lined'>)[]
}
/** null for each message whose queue is gone, or has changed its settings. */
type Answer = EnqueueAnswer[] | Error

export interface EnqueueingOptions {
  /** Whether the first enqueue makes an unknown queue. */
  createQueues: boolean
  /** Queues that enqueues, and keys that are not admin, may make. */
  autoQueuesMax: number
}

type Needs = Pick<Parts, 'store' | 'queueCache' | 'turns' | 'signals' | 'replicaStats' | 'bounds' | 'shares'>

/** core/broker.ts says what the methods do, and how they refuse. */
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
      inFlightMax: 2,
      isHeavy: call => call.bytes >= largeBytes
    })
  }

  refusal(caller: Caller): QueueError | null {
    return this.#batcher.refusal(caller)
  }

  /** Throws the refusal of messages that would be stored together, of as many bytes as `bytesOf` counts. */
  checkRoom(caller: Caller, messages: NewMessage[], queues: Queue[], bytes: number): void {
    const lane = laneOf(caller, { rows: messages, queues, bytes, whole: true })
    const refusal = this.#batcher.refusal(caller, lane)
    if (refusal !== null) throw refusal
  }

  readonly #makeQueue = (caller: Caller, name: string): Promise<void> => this.#autoQueues.make(caller, name)

  makeQueueFor(owner: Caller, name: string): Promise<void> {
    return this.#autoQueues.make(owner, name, theService)
  }

  async enqueue(
    caller: Caller,
    name: string,
    messages: NewMessage[],
    list: boolean,
    mayMake = true
  ): Promise<Enqueued[]> {
    const { queueCache } = this.#parts
    for (let attempt = 1; attempt <= queueAttemptsMax; attempt++) {
      const queue = await (mayMake ? this.target(caller, name) : queueCache.find(caller, name))
      const toRow = rowsFor(queue)
      const rows = messages.map((message, index) => toRow(message, list ? `/messages/${index}` : ''))
      const answers = await this.add(caller, rows, [queue], list)
      if (answers.every(answer => answer !== null)) return answers
      // Another replica deleted the queue or gave it an order after it was looked up, so nothing was
      // stored.
      queueCache.forget(name)
    }
    throw deletedEachTime(`The queue ${name}`, queueAttemptsMax, undone)
  }

  /** The queue of this name. It may be made. Refuses with queueNotFound, tooManyQueues. */
  target(caller: Caller, name: string): Promise<Queue> {
    return this.#parts.queueCache.find(caller, name, this.#createQueues ? this.#makeQueue : undefined)
  }

  drained(): Promise<void> {
    return this.#batcher.drained()
  }

  /**
   * Stores messages of these queues in one commit; with `whole` all or none. null for each message
   * whose queue is gone, or has changed its settings. Refuses with idempotencyMismatch, uniqueGroup,
   * queueFull, overloaded.
   */
  add(caller: Caller, rows: EnqueueRow[], queues: Queue[], whole: boolean): Promise<EnqueueAnswer[]> {
    const call = { whole, rows, queues, bytes: bytesOf(rows) }
    return this.#batcher.add(caller, laneOf(caller, call), call)
  }

  async #flush(calls: Call[]): Promise<Answer[]> {
    const { store, replicaStats } = this.#parts
    const beganMs = Date.now()
    const bounded = new Set(calls.flatMap(({ queues }) => queues.filter(isBounded).map(({ id }) => id)))
    const rooms = bounded.size === 0 ? new Map<Digits, number>() : await store.roomsIn([...bounded])
    const held = rooms.size === 0 ? new Set<string>() : await this.#heldKeys(calls, rooms)
    const { answers, shared, single } = admit(calls, rooms, held)
    // The shared commit comes first. Should it fail, nothing of this flush was stored, and that is
    // every caller's answer.
    const stored = await this.#storeRounds(
      shared.flatMap(index => calls[index]!.rows),
      false
    )
    for (const index of shared) {
      const { rows } = calls[index]!
      answers[index] = refuseMismatch(stored.splice(0, rows.length), rows)
    }
    for (const index of single) {
      const { rows, queues } = calls[index]!
      answers[index] = await this.#storeRounds(rows, true, queues).catch((error: Error) => error)
    }
    replicaStats.flushed(
      'enqueue',
      calls.reduce((sum, { rows }) => sum + rows.length, 0)
    )
    this.signal(calls, answers, beganMs)
    return answers
  }

  // The unique keys that messages hold, where a queue has no room for all calls.
  async #heldKeys(calls: Call[], rooms: Map<Digits, number>): Promise<Set<string>> {
    const held = new Set<string>()
    for (const [id, room] of rooms) {
      const rows = calls.flatMap(call => call.rows.filter(({ queueId }) => queueId === id))
      const keys = [...new Set(rows.flatMap(({ unique }) => unique?.key ?? []))]
      if (rows.length <= room || keys.length === 0) continue
      for (const key of await this.#parts.store.heldUniqueKeys(id, keys)) held.add(`${id} ${key}`)
    }
    return held
  }

  // All rounds are one commit. With `whole`, one mismatch undoes it.
  async #storeRounds(given: EnqueueRow[], whole: boolean, queues: Queue[] = []): Promise<EnqueueAnswer[]> {
    const { store } = this.#parts
    const { rows, spread } = collapse(given)
    const split = roundsOf(rows)
    const work = async (verbs: Verbs) => {
      const answers = await storeInRounds(verbs, rows, split)
      const refusal = refuseMismatch(answers, rows, queues)
      if (whole && refusal instanceof Error) throw refusal
      return answers
    }
    const workInTurn = async (verbs: Verbs) => {
      await verbs.takeUniqueTurn(rows.map(({ queueId }) => queueId))
      return await work(verbs)
    }
    // A statement that waits for a line has an old snapshot, so in lines it is better to wait before.
    const inLines = rows.some(({ unique, lined }) => unique !== undefined && lined)
    const isOne = split.length === 1 && !whole
    for (let attempt = 1; ; attempt++) {
      try {
        if (inLines || attempt > 1) return spread(await store.transaction(workInTurn))
        return spread(await (isOne ? work(store) : store.transaction(work)))
      } catch (error) {
        if (attempt === outrunMax || !store.isOutrun(error)) throw error
      }
    }
  }

  /**
   * One signal for each queue that has new ready messages, one for each delayed message. `beganMs` is
   * when their commit began.
   */
  signal(calls: { rows: EnqueueRow[] }[], answers: Answer[], beganMs: number): void {
    const { signals } = this.#parts
    const ready = new ReadyCounts()
    for (const [index, answer] of answers.entries()) {
      if (answer instanceof Error) continue
      for (const [i, row] of calls[index]!.rows.entries()) {
        const stored = answer[i]
        if (stored == null || stored.duplicate) continue
        const dueMs = dueMsOf(row, beganMs)
        // A delay that ended during the commit is stored as one, or as none.
        if (dueMs > beganMs) signals.onDue(dueMs)
        if (dueMs <= Date.now() && stored.position !== null) {
          ready.add(row.queueId, 1, Number(stored.position))
        }
      }
    }
    ready.signal(signals)
  }
}

/** When the message of a row may be leased. Without a delay, when its commit began. */
function dueMsOf({ visibleAt, delaySeconds, defaults }: EnqueueRow, beganMs: number): number {
  if (visibleAt !== undefined) return Date.parse(visibleAt)
  const seconds = delaySeconds ?? defaults?.delaySeconds ?? 0
  return seconds > 0 ? Date.now() + seconds * 1000 : beganMs
}

/**
 * How messages become rows of a queue. `pointer` is the place of the message in the request. Refuses
 * with bodyTooLarge, and with invalidRequest what would change the order of the queue.
 */
export function rowsFor(queue: Queue): (message: NewMessage, pointer: string) => EnqueueRow {
  const { id, name, settings, movingTo } = queue
  if (movingTo !== null) throw wrongCell(name, movingTo)
  const ordered = isOrdered(settings)
  const lined = hasLines(settings)
  const defaults = enqueueDefaultsOf(settings)
  return (message, pointer) => {
    // Every message has passed the bound of the service already.
    if (settings.messageBytesMax < messageBytesMax) {
      checkBodySize(message.body, pointer, settings.messageBytesMax, name)
    }
    if (ordered) checkOrdered(message, pointer, name)
    const priority = message.priority ?? priorityDefault
    const row: EnqueueRow = { ...message, queueId: id, priority, lined, defaults }
    if (pointer !== '') row.pointer = pointer
    return row
  }
}

/** What rows count while they wait to be stored. */
export function bytesOf(rows: EnqueueRow[]): number {
  return rows.reduce((bytes, row) => bytes + contentBytesOf(row), rows.length * rowBytes)
}

/** The size of what a message carries. */
export function contentBytesOf({ body, headers }: Pick<NewMessage, 'body' | 'headers'>): number {
  let bytes = body.length
  for (const name in headers) bytes += name.length + headers[name]!.length
  return bytes
}

// A statement can claim a key once. A key that comes twice goes into a later round, which sees the
// first one's row.
function roundsOf(rows: EnqueueRow[]): number[][] {
  return rounds(
    [...rows.keys()],
    index => idempotencyKeyOf(rows[index]!),
    index => uniqueKeyOf(rows[index]!)
  )
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
// queues share one for that. Unique keys have a lane of their own, by queue: so no other enqueue waits
// for their statement. Calls that need a commit each are stored one after the other, so those of each
// caller have a lane of their own.
function laneOf(caller: Caller, { rows, queues, bytes, whole }: Laned): string {
  if (queues.some(isBounded)) return queues.length === 1 ? queues[0]!.id : 'bounded'
  const kinds = [
    ...(rows.some(({ unique }) => unique !== undefined)
      ? ['unique', queues.length === 1 ? queues[0]!.id : 'several']
      : []),
    hasKeys(rows) ? 'keyed' : 'plain',
    ...(queues.some(({ settings }) => hasLines(settings)) ? ['lined'] : []),
    ...(bytes < largeBytes ? [] : ['large']),
    ...(whole && rows.some(isRefusable) ? ['of', caller.id] : [])
  ]
  return kinds.join(' ')
}

// Refuses calls for which a queue has no room. Of the others, `shared` can share a commit, and
// `single` need one each: those are stored whole, and one of their messages may be refused. It must
// undo its whole call, and nothing else. Messages whose unique keys are `held` need no room.
function admit(
  calls: Call[],
  rooms: Map<Digits, number>,
  held: Set<string>
): { answers: Answer[]; shared: number[]; single: number[] } {
  const answers: Answer[] = Array(calls.length)
  const shared: number[] = []
  const single: number[] = []
  for (const [index, call] of calls.entries()) {
    const full = rooms.size === 0 ? null : takeRoom(call, rooms, held)
    if (full !== null) {
      answers[index] = queueFull(full.name, undone)
      continue
    }
    if (call.whole && call.rows.some(isRefusable)) single.push(index)
    else shared.push(index)
  }
  return { answers, shared, single }
}

// Takes the room that a call needs, unless one of its queues has not enough; then answers that one.
// The unique keys of the call are held then.
function takeRoom({ rows, queues }: Call, rooms: Map<Digits, number>, held: Set<string>): Queue | null {
  const needed = new Map<Digits, number>()
  const keys = new Set<string>()
  for (const row of rows) {
    const key = uniqueKeyOf(row)
    if (key !== null && (held.has(key) || keys.has(key))) continue
    if (key !== null) keys.add(key)
    needed.set(row.queueId, (needed.get(row.queueId) ?? 0) + 1)
  }
  const full = queues.find(({ id }) => (needed.get(id) ?? 0) > (rooms.get(id) ?? Infinity))
  if (full !== undefined) return full
  for (const [id, count] of needed) if (rooms.has(id)) rooms.set(id, rooms.get(id)! - count)
  for (const key of keys) held.add(key)
  return null
}

/** Whether the message may be refused, because of what another one is. */
function isRefusable({ idempotencyKey, firstWins, unique, lined }: Laned['rows'][number]): boolean {
  return (idempotencyKey !== undefined && !firstWins) || (unique !== undefined && lined === true)
}

function hasKeys(messages: NewMessage[]): boolean {
  return messages.some(({ idempotencyKey }) => idempotencyKey !== undefined)
}

function idempotencyKeyOf({ queueId, idempotencyKey }: EnqueueRow): string | null {
  return idempotencyKey === undefined ? null : `${queueId} ${idempotencyKey}`
}

// Of calls of several queues, the refusal names the queue, and of several messages, the message.
function refuseMismatch(answers: EnqueueAnswer[], rows: EnqueueRow[], queues: Queue[] = []): Answer {
  const wrong = answers.findIndex(answer => answer?.mismatch)
  if (wrong >= 0) {
    const queue = queues.length > 1 && queues.find(({ id }) => id === rows[wrong]!.queueId)
    const where = queue ? ` in the queue ${queue.name}` : ''
    return refusalOf(rows[wrong]!, idempotencyMismatch(undone, where), 'idempotencyKey')
  }
  const otherGroup = answers.findIndex(answer => answer?.otherGroup)
  return otherGroup >= 0 ? refusalOf(rows[otherGroup]!, uniqueGroup(undone), 'unique/key') : answers
}

const refusalOf = ({ pointer }: EnqueueRow, error: QueueError, member: string) =>
  pointer === undefined ? error : pointedAt(error, `${pointer}/${member}`)
