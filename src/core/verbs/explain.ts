/** Why a message is not being worked on, or who works on it: in the order in which one would mend it. */
import type { Digits, LastFailure, State } from '../message.ts'
import { stepSeconds } from './series.ts'

export type ReasonCode =
  'delayed' | 'backingOff' | 'paused' | 'leased' | 'behind' | 'noConsumer' | 'dead' | 'acked' | 'next'
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

/** What the store knows of a message's standing; times as RFC 3339. */
export interface Standing {
  state: State
  paused: boolean
  attempt: number
  max_attempts: number
  visible_at: string | null
  leased_until: string | null
  worker: string | null
  dead_at: string | null
  last_failure: LastFailure | null
  acked_at: string | null
  keep_until: string | null
  /** When a lease of the queue was last asked for, wherever, as far as replicas have shared it. */
  asked_at: string | null
}

export const aheadMax = 10_000
/** A consumer with something to do does not ask meanwhile, and what other replicas know may be a step old. */
const silentSeconds = 2 * stepSeconds

/**
 * `ahead` is of a ready message: how many ready ones come before it, and whether that is all of
 * them. `askedMs` is when a lease was last asked for.
 */
export function reasonsOf(
  at: Standing,
  ahead: { count: number; all: boolean } | null,
  askedMs: number | null
): Reason[] {
  const attempt = `attempt ${at.attempt} of ${at.max_attempts}`
  const failure =
    at.last_failure === null
      ? ''
      : ` Attempt ${at.last_failure.attempt} ended at ` +
        `${at.last_failure.at}${at.last_failure.reason === null ? ' without a reason' : `: ${at.last_failure.reason}`}.`
  switch (at.state) {
    case 'acked':
      return [
        {
          code: 'acked',
          detail: `Its work is done: it was acked at ${at.acked_at}, and is kept until ${at.keep_until}.`,
          until: at.keep_until!
        }
      ]
    case 'dead':
      return [
        {
          code: 'dead',
          detail:
            `It is dead since ${at.dead_at} and no longer tried.${failure} A redrive makes it ` +
            'ready again.'
        }
      ]
    case 'leased':
      return [
        {
          code: 'leased',
          detail:
            `${at.worker ?? 'Somebody'} holds it until ${at.leased_until}: ${attempt}. Unless ` +
            'it is settled or extended by then it is ' +
            `${at.attempt < at.max_attempts ? 'ready again' : 'dead'}.`,
          until: at.leased_until!,
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
  if (at.visible_at !== null && at.attempt > 0) {
    reasons.push({
      code: 'backingOff',
      detail: `It is tried again at ${at.visible_at}, after ${attempt}.${failure}`,
      until: at.visible_at
    })
  } else if (at.visible_at !== null) {
    reasons.push({
      code: 'delayed',
      detail: `It was enqueued to be ready at ${at.visible_at}.`,
      until: at.visible_at
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
