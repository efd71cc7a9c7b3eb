/**
 * What happened, as callers saw it: one event for each message of each call. The checker reads
 * nothing else but these and the audit.
 */
import { createHash } from 'node:crypto'

/**
 * `none`: it definitely had no effect; `unknown`: nobody can say. Anything else is the service's
 * own word.
 */
export type Unsure = 'none' | 'unknown'

/**
 * `at` and `end` are when the call was made and answered, in ms since the epoch on the one clock
 * of the machine.
 */
interface Call {
  queue: string
  at: number
  end: number
}

export interface EnqueueEvent extends Call {
  t: 'enqueue'
  token: string
  keyed: boolean
  print: string
  out: 'ok' | Unsure
  id?: string
  delayMs: number
}
export interface LeaseEvent extends Call {
  t: 'lease'
  id: string
  token: string
  print: string
  fence: number
  attempt: number
  maxAttempts: number
  until: number
  leaseMs: number
}
export interface SettleEvent extends Call {
  t: 'settle'
  verb: 'ack' | 'fail' | 'release' | 'extend'
  id: string
  fence: number
  out: string
  dead: boolean
  until?: number
}
/** A lease whose answer was lost. */
export interface LostEvent extends Call {
  t: 'lost'
}
/** An answer that the contract does not allow, or a process that ended by itself. */
export interface OddEvent {
  t: 'odd'
  at: number
  what: string
}
/**
 * `upAfterMs`: from the heal until each replica that lives had served an enqueue and a lease; null
 * when it did not in time.
 */
export interface FaultEvent {
  t: 'fault'
  name: string
  at: number
  healedAt: number
  upAfterMs: number | null
  skipped?: string
}
export type Event = EnqueueEvent | LeaseEvent | SettleEvent | LostEvent | OddEvent | FaultEvent

/** Which message a body is of, whatever else happened to it. */
export function tokenOf(body: Buffer): string {
  return (
    /<([\w-]+)>/.exec(body.toString('latin1'))?.[1] ??
    `no token in ${JSON.stringify(body.toString('latin1').slice(0, 40))}`
  )
}

/** All that must come back as it was sent. */
export function printOf(body: Buffer, contentType: string, headers: Record<string, string>): string {
  return createHash('sha256')
    .update(`${contentType}\n${JSON.stringify(Object.entries(headers).sort())}\n`)
    .update(body)
    .digest('base64url')
    .slice(0, 16)
}
