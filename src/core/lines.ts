/**
 * Lines: messages that wait for one another. In a queue with an order, the messages of a group stand
 * in a line. With `ordering: "queue"` all messages of the queue do.
 */
import { invalidRequest } from './errors.ts'
import { hasGroupLimits } from './leaseLimits.ts'
import type { NewMessage } from './message.ts'
import type { ActiveSettings } from './settings.ts'

/** Settings that change only while the queue holds no message. */
export const orderSettings: string[] = ['ordering'] satisfies (keyof ActiveSettings)[]

/** Whether a message is leased only after those of its line that came before it. */
export function isOrdered({ ordering }: ActiveSettings): boolean {
  return ordering !== 'none'
}

/** Whether messages of the queue stand in lines. */
export function hasLines(settings: ActiveSettings): boolean {
  return isOrdered(settings) || takesTurns(settings)
}

/**
 * Whether groups take turns, and their messages do not wait for one another. A limit per group needs
 * lines too, so it makes them take turns.
 */
export function takesTurns(settings: ActiveSettings): boolean {
  return !isOrdered(settings) && (settings.fairness !== 'none' || hasGroupLimits(settings))
}

/** What a message of an ordered queue cannot have, because it would change its place. */
const placing = ['priority', 'delaySeconds', 'visibleAt'] as const

/**
 * Refuses with invalidRequest what would change the order of a queue. `pointer` is the place of the
 * message in the request.
 */
export function checkOrdered(message: NewMessage, pointer: string, queue: string): void {
  const option = placing.find(name => message[name] !== undefined)
  if (option === undefined) return
  // Only a raw body has a content type of its own, and its options stand in the query.
  const place = message.contentType !== null ? 'query' : pointer
  throw invalidRequest(
    `${place}/${option}`,
    `cannot be given in the queue ${queue}, which has an order; leave it out`
  )
}
