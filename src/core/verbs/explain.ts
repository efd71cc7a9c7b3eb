/** Why a message is not being worked on, or who works on it: in the order in which one would mend it. */
import type { State } from '../counters.ts'
import type { Digits } from '../message.ts'
import type { Circumstances } from '../ports.ts'
import { stepSeconds } from './series.ts'

/** What can be said of why a message is where it is. */
export const reasonCodes = [
  'delayed',
  'backingOff',
  'paused',
  'leased',
  'behind',
  'noConsumer',
  'dead',
  'acked',
  'next'
] as const
export type ReasonCode = (typeof reasonCodes)[number]
export interface Reason {
  code: ReasonCode
  detail: string
  until?: string
  worker?: string
  ahead?: number
  lastAskedAt?: string
}
export interface Explanation {
  id: Digits
  state: State
  reasons: Reason[]
}

/** A consumer with something to do does not ask meanwhile, and what other replicas know may be a step old. */
const silentSeconds = 2 * stepSeconds

/**
 * `ahead` is of a ready message: how many ready ones come before it, and whether that is all of
 * them. `askedMs` is when a lease was last asked for.
 */
export function reasonsOf(
  at: Circumstances,
  ahead: { count: number; all: boolean } | null,
  askedMs: number | null
): Reason[] {
  const attempt = `attempt ${at.attempt} of ${at.maxAttempts}`
  const failure =
    at.lastFailure === null
      ? ''
      : ` Attempt ${at.lastFailure.attempt} ended at ` +
        `${at.lastFailure.at}${at.lastFailure.reason === null ? ' without a reason' : `: ${at.lastFailure.reason}`}.`
  switch (at.state) {
    case 'acked':
      return [
        {
          code: 'acked',
          detail: `Its work is done: it was acked at ${at.ackedAt}, and is kept until ${at.keepUntil}.`,
          until: at.keepUntil!
        }
      ]
    case 'dead':
      return [
        {
          code: 'dead',
          detail:
            `It is dead since ${at.deadAt} and no longer tried.${failure} A redrive makes it ` +
            'ready again.'
        }
      ]
    case 'leased':
      return [
        {
          code: 'leased',
          detail:
            `${at.worker ?? 'Somebody'} holds it until ${at.leasedUntil}: ${attempt}. Unless ` +
            'it is settled or extended by then it is ' +
            `${at.attempt < at.maxAttempts ? 'ready again' : 'dead'}.`,
          until: at.leasedUntil!,
          ...(at.worker === null ? {} : { worker: at.worker })
        }
      ]
  }
  const reasons: Reason[] = []
  if (at.paused) {
    reasons.push({
      code: 'paused',
      detail: 'The queue is paused, so leases give nothing. Set its paused to false.'
    })
  }
  if (askedMs === null || askedMs < Date.now() - silentSeconds * 1000) {
    const lastAskedAt = askedMs === null ? null : new Date(askedMs).toISOString()
    reasons.push({
      code: 'noConsumer',
      detail:
        'Nobody has asked for messages of this queue ' +
        `${lastAskedAt === null ? 'yet' : `since ${lastAskedAt}`}. Start a worker, or ` +
        'see whether all are busy. What other replicas know of this may be ' +
        `${stepSeconds} seconds old.`,
      ...(lastAskedAt === null ? {} : { lastAskedAt })
    })
  }
  if (at.visibleAt !== null && at.attempt > 0) {
    reasons.push({
      code: 'backingOff',
      detail: `It is tried again at ${at.visibleAt}, after ${attempt}.${failure}`,
      until: at.visibleAt
    })
  } else if (at.visibleAt !== null) {
    reasons.push({
      code: 'delayed',
      detail: `It was enqueued to be ready at ${at.visibleAt}.`,
      until: at.visibleAt
    })
  } else if (ahead !== null && (ahead.count > 0 || !ahead.all)) {
    const count = ahead.count.toLocaleString('en')
    reasons.push({
      code: 'behind',
      detail:
        `${ahead.all ? count : `${count} or more`} ` +
        `${ahead.count === 1 ? 'message comes' : 'messages come'} before it, by ` +
        'priority and then by when they became ready.',
      ahead: ahead.count
    })
  }
  if (reasons.length === 0) {
    reasons.push({ code: 'next', detail: 'Nothing hinders it: the next lease takes it.' })
  }
  return reasons
}
