/**
 * A history and an audit written by hand, in which all is well, for the tests of the checker to
 * spoil.
 */
import type {
  Audit,
  EnqueueEvent,
  Event,
  FaultEvent,
  LeaseEvent,
  PushEvent,
  SettleEvent,
  StoredMessage
} from './history.ts'

export const enqueue = (
  token: string,
  id: string | null,
  more: Partial<EnqueueEvent> = {}
): EnqueueEvent => ({
  t: 'enqueue',
  queue: 'kept',
  token,
  keyed: false,
  print: `print of ${token}`,
  at: 1000,
  end: 1010,
  out: id === null ? 'unknown' : 'ok',
  delayMs: 0,
  ...(id !== null && { id }),
  ...more
})
export const lease = (
  token: string,
  id: string,
  fence: number,
  leasedAt: number,
  more: Partial<LeaseEvent> = {}
): LeaseEvent => ({
  t: 'lease',
  queue: 'kept',
  id,
  token,
  print: `print of ${token}`,
  fence,
  attempt: fence,
  maxAttempts: 3,
  until: leasedAt + 2000,
  leaseMs: 2000,
  at: leasedAt - 5,
  end: leasedAt + 5,
  ...more
})
export const settle = (
  verb: SettleEvent['verb'],
  id: string,
  fence: number,
  at: number,
  out: string,
  more: Partial<SettleEvent> = {}
): SettleEvent => ({
  t: 'settle',
  queue: 'kept',
  verb,
  id,
  fence,
  at,
  end: at + 10,
  out,
  dead: false,
  ...more
})
export const push = (token: string, id: string, at: number, more: Partial<PushEvent> = {}): PushEvent => ({
  t: 'push',
  queue: 'kept',
  id,
  token,
  print: `print of ${token}`,
  at,
  end: at,
  status: 204,
  ...more
})
export const fault = (more: Partial<FaultEvent> = {}): FaultEvent => ({
  t: 'fault',
  name: 'kill',
  at: 500,
  healedAt: 700,
  upAfterMs: 100,
  ...more
})

const row = (
  token: string,
  id: string,
  state: string,
  counts: { fence: number; attempt: number }
): StoredMessage => ({ id, state, ...counts, maxAttempts: 3, token, print: `print of ${token}` })

export interface World {
  events: Event[]
  audit: Audit
}

/**
 * Message 1 is acked at once. 2 expires, its old receipt is refused, and it is acked then. 3 fails
 * three times, and is dead. 4 was never confirmed, and was delivered. 5 was refused.
 */
export function clean(): World {
  return {
    events: [
      fault(),
      enqueue('one', '1'),
      enqueue('two', '2'),
      enqueue('three', '3'),
      enqueue('four', null),
      enqueue('five', null, { out: 'none' }),
      lease('one', '1', 1, 1100),
      settle('ack', '1', 1, 1200, 'acked'),
      lease('two', '2', 1, 1100),
      lease('two', '2', 2, 3300),
      settle('ack', '2', 1, 3400, 'leaseLost'),
      settle('ack', '2', 2, 3500, 'acked'),
      ...[1, 2, 3].flatMap(fence => [
        lease('three', '3', fence, 1000 + 300 * fence),
        settle('fail', '3', fence, 1100 + 300 * fence, fence === 3 ? 'dead' : 'retrying', {
          until: 1200 + 300 * fence
        })
      ]),
      lease('four', '4', 1, 1100),
      settle('release', '4', 1, 1200, 'released'),
      lease('four', '4', 2, 1300, { attempt: 1 }),
      settle('ack', '4', 2, 1400, 'unknown')
    ],
    audit: {
      topics: [],
      unbalanced: [],
      queues: [
        {
          queue: 'kept',
          kept: true,
          moves: false,
          pushed: false,
          ordered: false,
          maxLeased: null,
          rate: null,
          messages: [
            row('one', '1', 'acked', { fence: 1, attempt: 1 }),
            row('two', '2', 'acked', { fence: 2, attempt: 2 }),
            row('three', '3', 'dead', { fence: 3, attempt: 3 }),
            row('four', '4', 'acked', { fence: 2, attempt: 1 })
          ],
          history: [
            { id: '2', fence: 1, attempt: 1, outcome: 'expired' },
            ...[1, 2, 3].map(fence => ({ id: '3', fence, attempt: fence, outcome: 'failed' as const })),
            { id: '4', fence: 1, attempt: 1, outcome: 'released' }
          ]
        }
      ]
    }
  }
}

export const find = <T extends Event>({ events }: World, match: Partial<T>): T =>
  events.find(event => Object.entries(match).every(([key, value]) => (event as any)[key] === value)) as T
export const stored = ({ audit }: World, id: string) =>
  audit.queues[0]!.messages.find(message => message.id === id)!
export const unstore = ({ audit }: World, id: string) => {
  const [queue] = audit.queues
  queue!.messages = queue!.messages.filter(message => message.id !== id)
}
export const forget = ({ audit }: World, id: string, fence: number) => {
  const [queue] = audit.queues
  queue!.history = queue!.history.filter(attempt => attempt.id !== id || attempt.fence !== fence)
}
