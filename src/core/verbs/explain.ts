/** Explaining: why a message is where it is, who works on it, and what to fix first. */
import type { Caller } from '../caller.ts'
import type { State } from '../counters.ts'
import type { Parts } from '../engine/parts.ts'
import {
  messageNotFound,
  type Ahead,
  type Circumstances,
  type Digits,
  type LastFailure,
  type Origin
} from '../message.ts'
import type { Slowdown } from '../push.ts'
import { stepSeconds } from '../series.ts'

/** What can be said of why a message is where it is. */
export const reasonCodes = [
  'delayed',
  'backingOff',
  'paused',
  'pushSlowed',
  'maxLeased',
  'maxLeasedPerGroup',
  'rate',
  'ratePerGroup',
  'leased',
  'behind',
  'groupBlocked',
  'turn',
  'noConsumer',
  'deadLetter',
  'dead',
  'acked',
  'next'
] as const
type ReasonCode = (typeof reasonCodes)[number]
interface Reason {
  code: ReasonCode
  /** A sentence for a person. */
  detail: string
  until?: string
  worker?: string
  ahead?: number
  by?: { id: Digits; state: State }
  lastAskedAt?: string
}
export interface Explanation {
  id: Digits
  state: State
  /** What to fix first comes first. */
  reasons: Reason[]
}

/**
 * A consumer that has work does not ask meanwhile, and what other replicas know may be a step old.
 */
const silentSeconds = 2 * stepSeconds

type Needs = Pick<
  Parts,
  'store' | 'queueCache' | 'wakeups' | 'replicaStats' | 'pushStates' | 'siblings' | 'turns'
>

/** core/broker.ts says what the methods do, and how they refuse. */
export class Explaining {
  readonly #parts: Needs

  constructor(parts: Needs) {
    this.#parts = parts
    parts.siblings.answer('askedMs', async queueId => askedHereMs(parts, queueId))
  }

  async explain(caller: Caller, name: string, id: Digits): Promise<Explanation> {
    const { store, queueCache, turns } = this.#parts
    const queue = await queueCache.find(caller, name)
    const found = await turns.run(caller, () => store.last.circumstancesOf(queue.id, id))
    if (found === null) {
      const gone = await turns.run(caller, () => store.last.findMessage(queue.id, id))
      if (gone === null || gone.movedTo === null) throw messageNotFound(name, id)
      return { id, state: 'dead', reasons: [moved(gone.movedTo, gone.lastFailure)] }
    }
    const { message, ahead } = found
    const [askedMs, { slowed }] = await Promise.all([
      lastAskedMs(this.#parts, queue.id, message.askedAt),
      this.#parts.pushStates.of(queue.id)
    ])
    return { id, state: message.state, reasons: reasonsOf(message, ahead, askedMs, slowed) }
  }
}

/** When somebody last asked for messages of the queue: here, or at `askedAt` on another replica. */
export async function lastAskedMs(
  parts: Pick<Parts, 'wakeups' | 'replicaStats' | 'siblings'>,
  queueId: Digits,
  askedAt: string | null
): Promise<number | null> {
  const times = await parts.siblings.ask('askedMs', queueId)
  times.push(askedHereMs(parts, queueId))
  if (askedAt !== null) times.push(Date.parse(askedAt))
  return times.reduce((last, ms) => (last === null || (ms !== null && ms > last) ? ms : last), null)
}

/** When somebody last asked this process for messages of the queue. */
function askedHereMs(
  { wakeups, replicaStats }: Pick<Parts, 'wakeups' | 'replicaStats'>,
  queueId: Digits
): number | null {
  return wakeups.waitsFor(queueId) ? Date.now() : replicaStats.askedMs(queueId)
}

function reasonsOf(
  message: Circumstances,
  ahead: Ahead | null,
  askedMs: number | null,
  slowed: Slowdown | null
): Reason[] {
  if (message.state === 'acked') return [acked(message)]
  if (message.state === 'dead') return [dead(message)]
  if (message.state === 'leased') return [leased(message)]
  const reasons: Reason[] = []
  if (message.paused) reasons.push(paused)
  if (slowed !== null) reasons.push(pushSlowed(slowed))
  if (message.maxLeased !== null && message.leased >= message.maxLeased) reasons.push(full(message))
  if (message.nextTokenAt !== null) reasons.push(rateUsedUp(message.nextTokenAt))
  if (message.leasedOfGroup >= (message.maxLeasedPerGroup ?? Infinity)) reasons.push(groupFull(message))
  if (message.groupDueAt !== null) reasons.push(groupRateUsedUp(message.groupDueAt))
  if (askedMs === null || askedMs < Date.now() - silentSeconds * 1000) reasons.push(noConsumer(askedMs))
  if (message.visibleAt !== null) {
    reasons.push(message.attempt > 0 ? backingOff(message) : delayed(message))
  } else if (ahead !== null && (ahead.count > 0 || !ahead.all)) {
    reasons.push(behind(ahead))
  }
  if (message.turn) reasons.push(turn)
  if (message.blocker !== null) reasons.push(groupBlocked(message.blocker))
  if (reasons.length === 0) reasons.push(next)
  return message.origin === null ? reasons : [deadLetter(message.origin), ...reasons]
}

const paused: Reason = {
  code: 'paused',
  detail: 'The queue is paused, so leases give nothing. Set its paused to false.'
}
const turn: Reason = {
  code: 'turn',
  detail: 'Groups take turns, and other messages of its group go first.'
}

function pushSlowed({ failures, reason, until }: Slowdown): Reason {
  return {
    code: 'pushSlowed',
    detail:
      `The endpoint of the queue's push failed ${failures} times in a row, so deliveries are slowed down. ` +
      `The next one is tried at ${until}; when one is answered well, all go on. It said last: ${reason}`,
    until
  }
}

function full({ leased, maxLeased }: Circumstances): Reason {
  return {
    code: 'maxLeased',
    detail:
      `${leased.toLocaleString('en')} messages of the queue are leased, and its maxLeased is ` +
      `${maxLeased!.toLocaleString('en')}. Leases give more when some of these are settled, or when ` +
      'maxLeased is higher.'
  }
}

function rateUsedUp(until: string): Reason {
  return {
    code: 'rate',
    detail: `The rate of the queue is used up. The next lease is given at ${until}.`,
    until
  }
}

function groupFull({ leasedOfGroup, maxLeasedPerGroup }: Circumstances): Reason {
  return {
    code: 'maxLeasedPerGroup',
    detail:
      `${leasedOfGroup.toLocaleString('en')} messages of its group are leased, and the queue's ` +
      `maxLeasedPerGroup is ${maxLeasedPerGroup!.toLocaleString('en')}. Leases give more of the group ` +
      'when some of these are settled, or when maxLeasedPerGroup is higher.'
  }
}

function groupRateUsedUp(until: string): Reason {
  return {
    code: 'ratePerGroup',
    detail: `The rate of its group is used up. The group's next lease is given at ${until}.`,
    until
  }
}

const next: Reason = { code: 'next', detail: 'Nothing holds it up: the next lease takes it.' }

function acked({ ackedAt, keepUntil }: Circumstances): Reason {
  return {
    code: 'acked',
    detail: `Its work is done: it was acked at ${ackedAt}, and is kept until ${keepUntil}.`,
    until: keepUntil!
  }
}

function deadLetter({ queue, diedAt, reason, attempts }: Origin): Reason {
  const times = `${attempts} ${attempts === 1 ? 'attempt' : 'attempts'}`
  return {
    code: 'deadLetter',
    detail:
      `It died in the queue ${queue} at ${diedAt}, after ${times}` +
      `${reason === null ? '' : `: ${reason}`}. A redrive sends it back there.`
  }
}

function moved(movedTo: string, lastFailure: LastFailure | null): Reason {
  return {
    code: 'dead',
    detail: `It died here, and went to the dead-letter queue ${movedTo}.${failureText(lastFailure)}`
  }
}

function dead({ deadAt, lastFailure, origin }: Circumstances): Reason {
  return {
    code: 'dead',
    detail:
      `It became dead at ${deadAt}, and is not tried again.${failureText(lastFailure)} ` +
      (origin === null
        ? 'A redrive makes it ready again.'
        : `A redrive sends it back to the queue ${origin.queue}.`)
  }
}

function leased(message: Circumstances): Reason {
  const { worker, leasedUntil, attempt, maxAttempts, deadLetterQueue } = message
  const atDeath = deadLetterQueue === null ? 'dead' : `dead, and goes to the queue ${deadLetterQueue}`
  return {
    code: 'leased',
    detail:
      `${worker ?? 'Somebody'} holds it until ${leasedUntil}: ${attemptText(message)}. Unless it is ` +
      `settled or extended by then, it is ${attempt < (maxAttempts ?? Infinity) ? 'ready again' : atDeath}.`,
    until: leasedUntil!,
    ...(worker === null ? {} : { worker })
  }
}

function noConsumer(askedMs: number | null): Reason {
  const lastAskedAt = askedMs === null ? null : new Date(askedMs).toISOString()
  return {
    code: 'noConsumer',
    detail:
      'Nobody has asked for messages of this queue ' +
      `${lastAskedAt === null ? 'yet' : `since ${lastAskedAt}`}. Start a worker, or check whether all ` +
      `are busy. What is known of other replicas may be ${stepSeconds} seconds old.`,
    ...(lastAskedAt === null ? {} : { lastAskedAt })
  }
}

function backingOff(message: Circumstances): Reason {
  const { visibleAt, lastFailure } = message
  return {
    code: 'backingOff',
    detail: `It is tried again at ${visibleAt}, after ${attemptText(message)}.${failureText(lastFailure)}`,
    until: visibleAt!
  }
}

function delayed({ visibleAt }: Circumstances): Reason {
  return {
    code: 'delayed',
    detail: `It was enqueued to be ready at ${visibleAt}.`,
    until: visibleAt!
  }
}

function behind({ count, all }: Ahead): Reason {
  const number = `${count.toLocaleString('en')}${all ? '' : ' or more'}`
  return {
    code: 'behind',
    detail:
      `${number} ${count === 1 ? 'message comes' : 'messages come'} before it, by priority and then ` +
      'by when they became ready.',
    ahead: count
  }
}

function groupBlocked(by: { id: Digits; state: State }): Reason {
  return {
    code: 'groupBlocked',
    detail: `Message ${by.id} of its group goes first, and is ${by.state}. Ask about that one.`,
    by
  }
}

function attemptText({ attempt, maxAttempts }: Circumstances): string {
  return `attempt ${attempt}${maxAttempts === null ? '' : ` of ${maxAttempts}`}`
}

function failureText(failure: LastFailure | null): string {
  if (failure === null) return ''
  const { attempt, at, reason } = failure
  return ` Attempt ${attempt} ended at ${at}${reason === null ? ' without a reason' : `: ${reason}`}.`
}
