/**
 * Completing: acks with what came of the work and with what follows from it. The ack and its next
 * messages are one commit, which many callers share.
 */
import type { Caller } from '../caller.ts'
import type { Completion, Followed, NextMessage } from '../completion.ts'
import { Batcher } from '../engine/batcher.ts'
import type { Parts } from '../engine/parts.ts'
import { partlyDone, QueueError } from '../errors.ts'
import { largeBytes } from '../large.ts'
import type { Digits } from '../message.ts'
import type { Completed, EnqueueAnswer, EnqueueRow, Held, Verbs } from '../ports.ts'
import { deletedEachTime, queueAttemptsMax } from '../queue.ts'
import { uniqueKeyOf } from '../unique.ts'
import { bytesOf, flushBytesMax, storeInRounds, type Enqueueing } from './enqueue.ts'
import type { Leased, Leasing, LeaseRequest } from './lease.ts'
import { noRoomFor, refusalOf, stepTo, targetsOf, type Step, type Targets } from './nextSteps.ts'
import { readReceipts } from './receipts.ts'
import { hasTwoFences, keyOf, outcomesFor, type Outcome, type Settled, type Settling } from './settle.ts'

/** A lease whose work is done, with what follows from it. */
interface Ending extends Completed {
  result: string | null
  steps: Step[]
}

/** An ending whose next messages are not rows of their queues yet. */
interface Unbound extends Held {
  result: string | null
  then: NextMessage[]
}

/** One caller's endings: all of them are committed, or none. */
interface Call {
  queueId: Digits
  endings: Ending[]
  bytes: number
}

/**
 * What a commit did. `distinct` are the leases that it was to end, each once, by `id.fence`.
 * `stored` has the steps of each ending that removed its message.
 */
interface Done {
  distinct: Map<string, Ending>
  settled: Settled<'ack'>
  stored: Map<Ending, EnqueueAnswer[]>
}

/** What a call is told. null: a queue of its steps is gone. */
type Answer = Outcome[] | null

/** Undoes a commit, because calls in it must be refused. */
class Refused extends Error {
  readonly refusals: Map<Call, QueueError | null>

  constructor(refusals: Map<Call, QueueError | null>) {
    super('refused')
    this.refusals = refusals
  }
}

type Needs = Pick<Parts, 'store' | 'queueCache' | 'replicaStats' | 'bounds' | 'shares' | 'swallow'>

/** core/broker.ts says what the methods do, and how they refuse. */
export class Completing {
  readonly #parts: Needs
  readonly #enqueueing: Enqueueing
  readonly #settling: Settling
  readonly #leasing: Leasing
  readonly #batcher: Batcher<Call, Answer>

  constructor(parts: Needs, enqueueing: Enqueueing, settling: Settling, leasing: Leasing) {
    this.#parts = parts
    this.#enqueueing = enqueueing
    this.#settling = settling
    this.#leasing = leasing
    this.#batcher = new Batcher({
      ...parts.bounds,
      flush: (_lane, calls) => this.#flush(calls[0]!.queueId, calls),
      weigh: ({ bytes }) => bytes,
      count: ({ endings }) => endings.reduce((sum, { steps }) => sum + 1 + steps.length, 0),
      isUrgent: () => true,
      flushWeightMax: flushBytesMax,
      share: parts.shares.enqueueBytes,
      inFlightMax: 2,
      isHeavy: ({ bytes }) => bytes >= largeBytes
    })
  }

  async complete(caller: Caller, name: string, completions: Completion[]): Promise<Outcome[]> {
    const { queueCache } = this.#parts
    const receipts = completions.map(({ receipt }) => receipt)
    const pointer = (index: number) => completions[index]!.pointer
    const { queue, leases, current } = await readReceipts(queueCache, caller, name, receipts, pointer)
    const outcomes: Outcome[] = completions.map(() => ({ outcome: 'gone' }))
    if (current.length === 0) return outcomes
    const unbound = current.map((index): Unbound => {
      const { result, then } = completions[index]!
      return { ...leases[index]!, result, then }
    })
    for (let attempt = 1; attempt <= queueAttemptsMax; attempt++) {
      const steps = await this.#stepsTo(caller, queue.id, unbound)
      const endings = unbound.map(({ id, fence, result }, index): Ending => {
        return { id, fence, result, steps: steps[index]! }
      })
      const bytes = endings.reduce(
        (sum, { result, steps }) => sum + (result?.length ?? 0) + bytesOf(steps.map(({ row }) => row)),
        0
      )
      const answers = await this.#batcher.add(caller, laneOf(queue.id, bytes), {
        queueId: queue.id,
        endings,
        bytes
      })
      if (answers !== null) {
        current.forEach((index, i) => {
          outcomes[index] = answers[i]!
        })
        this.#settling.tellFreed(queue, answers)
        return outcomes
      }
      for (const { queue: target } of unbound.flatMap(({ then }) => then)) queueCache.forget(target)
    }
    throw deletedEachTime('A queue of then', queueAttemptsMax, 'nothing was acked')
  }

  async completeAndLease(
    caller: Caller,
    name: string,
    request: LeaseRequest,
    completions: Completion[],
    signalOf: () => AbortSignal
  ): Promise<Leased> {
    const outcomes = await this.complete(caller, name, completions)
    try {
      return { ...(await this.#leasing.lease(caller, name, request, [], signalOf)), outcomes }
    } catch (error) {
      // The acks are committed, so the caller gets their outcomes although the lease failed. With a
      // key, messages may be leased already.
      if (request.idempotencyKey !== null) throw partlyDone(error as Error)
      this.#parts.swallow(error)
      return { messages: [], outcomes }
    }
  }

  drained(): Promise<void> {
    return this.#batcher.drained()
  }

  /** The steps of each ending to their queues. Missing ones are made where that is allowed. */
  async #stepsTo(caller: Caller, queueId: Digits, endings: Unbound[]): Promise<Step[][]> {
    const { queueCache } = this.#parts
    let targets = await targetsOf(endings, name => queueCache.find(caller, name))
    if ([...targets.values()].some(target => target instanceof QueueError)) {
      await this.#leaveOutLost(queueId, endings, targets)
      targets = await targetsOf(endings, name => this.#enqueueing.target(caller, name))
    }
    return endings.map(({ then }) => then.map(next => stepTo(targets.get(next.queue)!, next)))
  }

  // A queue is made only for an ack that takes effect, and for a call that no other queue refuses.
  async #leaveOutLost(queueId: Digits, endings: Unbound[], targets: Targets): Promise<void> {
    const ids = endings.map(({ id }) => id)
    const standings = await this.#parts.store.first.standings(queueId, ids)
    for (const ending of endings) {
      const standing = standings.get(ending.id)
      const isHeld = standing?.fence === ending.fence && !standing.dead && !standing.acked
      if (!isHeld) ending.then = []
      for (const next of ending.then) {
        const target = targets.get(next.queue)!
        const refusal = target instanceof QueueError ? null : stepTo(target, next).refusal
        if (refusal !== null) throw refusal
      }
    }
  }

  // A call that must be refused undoes the commit. The others are then done again without it.
  async #flush(queueId: Digits, calls: Call[]): Promise<(Answer | Error)[]> {
    const beganMs = Date.now()
    const refusals = new Map<Call, QueueError | null>()
    let done: Done | undefined
    while (done === undefined && refusals.size < calls.length) {
      const open = calls.filter(call => !refusals.has(call))
      done = await this.#commit(queueId, open).catch(error => {
        if (!(error instanceof Refused)) throw error
        for (const [call, refusal] of error.refusals) refusals.set(call, refusal)
        return undefined
      })
    }
    if (done === undefined) return calls.map(call => refusals.get(call)!)
    this.#tell(queueId, done, beganMs)
    const outcomes = await this.#settling.outcomesOf('ack', queueId, done.distinct, done.settled)
    return calls.map(call => {
      const refusal = refusals.get(call)
      return refusal === undefined ? answerTo(call, outcomes, done.stored) : refusal
    })
  }

  async #commit(queueId: Digits, calls: Call[]): Promise<Done> {
    const store = this.#parts.store.first
    const distinct = new Map<string, Ending>()
    // Of two calls with one receipt, the first removes the message. The other repeats it.
    for (const ending of calls.flatMap(({ endings }) => endings)) {
      if (!distinct.has(keyOf(ending))) distinct.set(keyOf(ending), ending)
    }
    const held = [...distinct.values()]
    const steps = stepsOf(held)
    const turns = steps.filter(({ row: { unique, lined } }) => unique !== undefined && lined)
    const work = async (verbs: Verbs): Promise<Done> => {
      if (turns.length > 0) await verbs.takeUniqueTurn(turns.map(({ row }) => row.queueId))
      const settled = await this.#settling.settleOnce(verbs, 'ack', queueId, held)
      const due = calls.map(call => ({
        call,
        endings: call.endings.filter(
          ending => distinct.get(keyOf(ending)) === ending && settled.changed.has(keyOf(ending))
        )
      }))
      return { distinct, settled, stored: await followUp(verbs, due) }
    }
    if (hasTwoFences(held)) return await store.transaction(work)
    if (steps.length === 0) return await work(store)
    const done = steps.every(isPlain) ? await this.#commitPlain(queueId, distinct) : null
    return done ?? (await store.transaction(work))
  }

  /** One statement, for steps that nothing but their queues can refuse. null: one did. */
  async #commitPlain(queueId: Digits, distinct: Map<string, Ending>): Promise<Done | null> {
    const endings = [...distinct.values()]
    const next = endings.flatMap(({ id, steps }) => steps.map(({ row }) => ({ follows: id, row })))
    const answer = await this.#parts.store.first.ackWithNext(queueId, endings, next)
    if (answer === null) return null
    const changed = new Map(answer.acked.map(key => [key, distinct.get(key)!]))
    const stored = answersByEnding(endings, answer.stored)
    for (const ending of endings) {
      if (!changed.has(keyOf(ending))) stored.delete(ending)
    }
    return { distinct, settled: { changed, freed: answer.freed }, stored }
  }

  #tell(queueId: Digits, { settled, stored }: Done, beganMs: number): void {
    const { replicaStats } = this.#parts
    replicaStats.acked(queueId, [...settled.changed.keys()])
    const rows = [...stored.keys()].flatMap(({ steps }) => steps.map(({ row }) => row))
    if (rows.length === 0) return
    replicaStats.flushed('enqueue', rows.length)
    this.#enqueueing.signal([{ rows }], [[...stored.values()].flat()], beganMs)
  }
}

/** A call, and its endings that removed their message. */
interface Due {
  call: Call
  endings: Ending[]
}

/** Large calls have a lane of their own, so that small ones do not wait for their flushes. */
const laneOf = (queueId: Digits, bytes: number) => (bytes < largeBytes ? queueId : `${queueId} large`)

/** Enqueues the steps that are due. Throws Refused if a call must be refused. */
async function followUp(verbs: Verbs, due: Due[]): Promise<Map<Ending, EnqueueAnswer[]>> {
  const full = await callsWithoutRoom(verbs, due)
  const admitted = due.filter(({ call }) => !full.has(call))
  const rows = admitted.flatMap(({ endings }) => stepsOf(endings).map(({ row }) => row))
  const answers = rows.length === 0 ? [] : await storeInRounds(verbs, rows)
  const stored = answersByEnding(
    admitted.flatMap(({ endings }) => endings),
    answers
  )
  const refusals = refusedByStore(admitted, stored)
  // A call that is refused now may have taken the room of another.
  if (refusals.size > 0) throw new Refused(refusals)
  if (full.size > 0) throw new Refused(full)
  return stored
}

/** Deals out the answers to all steps, in the order of the endings, to the endings. */
function answersByEnding(endings: Ending[], answers: EnqueueAnswer[]): Map<Ending, EnqueueAnswer[]> {
  const dealt = new Map<Ending, EnqueueAnswer[]>()
  let start = 0
  for (const ending of endings) {
    const end = start + ending.steps.length
    dealt.set(ending, answers.slice(start, end))
    start = end
  }
  return dealt
}

/** In their order, the calls for whose steps a queue has no room. */
async function callsWithoutRoom(verbs: Verbs, due: Due[]): Promise<Map<Call, QueueError>> {
  const rooms = new Map<Digits, number>()
  const refusals = new Map<Call, QueueError>()
  for (const { call, endings } of due) {
    const wanted = new Map<Digits, number>()
    for (const step of stepsOf(endings)) {
      const { row, hasMaxDepth } = step
      const { queueId } = row
      if (!hasMaxDepth || refusals.has(call)) continue
      if (!rooms.has(queueId)) rooms.set(queueId, (await verbs.roomIn(queueId)) ?? Infinity)
      const count = (wanted.get(queueId) ?? 0) + 1
      if (count > rooms.get(queueId)! && (await isHeld(verbs, row))) continue
      wanted.set(queueId, count)
      if (count > rooms.get(queueId)!) refusals.set(call, noRoomFor(step))
    }
    if (refusals.has(call)) continue
    for (const [queueId, count] of wanted) rooms.set(queueId, rooms.get(queueId)! - count)
  }
  return refusals
}

/** Whether a message holds the unique key of the row, so that it needs no room. */
async function isHeld(verbs: Verbs, { queueId, unique }: EnqueueRow): Promise<boolean> {
  return unique !== undefined && (await verbs.heldUniqueKeys(queueId, [unique.key])).size > 0
}

/** The calls with a step that the store did not take. null: its queue is gone. */
function refusedByStore(due: Due[], stored: Map<Ending, EnqueueAnswer[]>): Map<Call, QueueError | null> {
  const refusals = new Map<Call, QueueError | null>()
  // Keys of refused calls. What they claimed is undone, so nobody else is refused for it yet.
  const undoneClaims = new Set<string>()
  for (const { call, endings } of due) {
    const steps = stepsOf(endings)
    const answers = endings.flatMap(ending => stored.get(ending)!)
    const index = answers.findIndex((answer, i) => {
      if (answer === null) return true
      if (answer.mismatch) return !undoneClaims.has(claimOf(steps[i]!))
      return answer.otherGroup === true && !undoneClaims.has(uniqueClaimOf(steps[i]!))
    })
    if (index < 0) continue
    refusals.set(call, refusalOf(steps[index]!, answers[index]!))
    for (const step of steps) undoneClaims.add(claimOf(step)).add(uniqueClaimOf(step))
  }
  return refusals
}

/** Whether only a queue that is gone, or has changed its order, refuses the step. */
const isPlain = ({ row: { unique, idempotencyKey, lined }, hasMaxDepth, refusal }: Step) =>
  unique === undefined && idempotencyKey === undefined && !lined && !hasMaxDepth && refusal === null

const stepsOf = (endings: Ending[]) => endings.flatMap(({ steps }) => steps)
const uniqueClaimOf = ({ row }: Step) => `unique ${uniqueKeyOf(row)}`
const claimOf = ({ row: { queueId, idempotencyKey } }: Step) => `${queueId} ${idempotencyKey}`

function answerTo(
  { endings }: Call,
  outcomes: Map<string, Outcome | Error>,
  stored: Map<Ending, EnqueueAnswer[]>
): Outcome[] | Error {
  const answers = outcomesFor(endings, outcomes)
  if (answers instanceof Error) {
    return endings.some(ending => stored.has(ending)) ? partlyDone(answers) : answers
  }
  return answers.map((outcome, index) => {
    const { steps } = endings[index]!
    const then = stored.get(endings[index]!)?.map((answer, i) => followed(steps[i]!, answer!)) ?? []
    return outcome.outcome === 'acked' && then.length > 0 ? { ...outcome, then } : outcome
  })
}

function followed(
  { queue }: Step,
  { id, duplicate, replaced = false }: NonNullable<EnqueueAnswer>
): Followed {
  return { queue, id, ...(duplicate && { duplicate }), ...(replaced && { replaced }) }
}
