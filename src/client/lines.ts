/** Lines: messages of an ordered queue that a worker works on one after another. */
import type { Result } from './settler.ts'
import type { Leased, LeasedMessage } from './types.ts'

/** The messages of a lease in lines, in the order of the lease. Without an order, each stands alone. */
export function linesOf({ messages, ordering }: Leased): LeasedMessage[][] {
  if (ordering === undefined) return messages.map(message => [message])
  const lines = new Map<unknown, LeasedMessage[]>()
  for (const message of messages) {
    const line = ordering === 'queue' ? 'all' : (message.group ?? Symbol('alone'))
    lines.set(line, [...(lines.get(line) ?? []), message])
  }
  return [...lines.values()]
}

const removing: Result[] = ['acked', 'dead', 'gone']

/** Whether the next of the line may be worked on: the message no longer stands before it. */
export function letsNextGo(outcome: Result): boolean {
  return removing.includes(outcome)
}
