/**
 * What is measured, and what it must reach. A scenario is a set of entries that are measured side
 * by side in every round.
 */
import type { SubjectLoad } from './measure.ts'
import type { SubjectName } from './subjects.ts'
import { tenTopic } from './topic.ts'

/** One slice's figures. Null: they cannot be had here. */
export interface Figures {
  perSecond: number
  bytesPerSecond: number
  /** Times of one request; with the step `latency`, from enqueue to receipt. */
  p50Ms: number
  p99Ms: number
  /** Costs of one message, from here on. */
  serviceUs: number | null
  databaseUs: number | null
  generatorUs: number
  walBytes: number | null
  flushes: number | null
  buffers: number | null
}

export interface Entry {
  name: string
  subject: SubjectName
  /** A second replica on the same database takes the consumers. */
  acrossReplicas?: true
  /** Not measured against another commit, which may not know it. */
  isNew?: true
  /** How many requests to the do-nothing route count as one message. */
  requestsPerMessage?: number
  load: SubjectLoad
}

/** One round of a scenario: figures by the entry's name. */
export type Round = Record<string, Figures>

/** Null where a figure cannot be had here. */
type Ratio = (round: Round) => number | null

export interface Target {
  what: string
  bound: '≥' | '≤'
  must: number
  aim?: number
  of: Ratio
}

export interface Scenario {
  title: string
  entries: Entry[]
  targets: Target[]
}

const enqueue = { step: 'enqueue', callers: 64, count: 1, bodyBytes: 200, warmMs: 1000, runMs: 1500 } as const
const consume = { ...enqueue, step: 'consume' } as const
const ack = { ...enqueue, step: 'ack' } as const
const hundred = { callers: 16, count: 100 }
const ten = { callers: 16, count: 10 } // as many as SQS takes

/** A figure of one entry divided by that of another, in the same round. */
export const ratio =
  (figure: (figures: Figures) => number | null, entry: string, divisor: string): Ratio =>
  round => {
    const [dividend, by] = [figure(round[entry]!), figure(round[divisor]!)]
    return dividend === null || by === null ? null : dividend / by
  }
export const rate = (entry: string, divisor: string) => ratio(({ perSecond }) => perSecond, entry, divisor)

const costsOfPlainQueue: Target[] = [
  {
    what: "database CPU, of the plain queue's",
    bound: '≤',
    must: 0.25,
    of: ratio(({ databaseUs }) => databaseUs, 'Holdfast', 'plain queue')
  },
  {
    what: "WAL, of the plain queue's",
    bound: '≤',
    must: 0.75,
    of: ratio(({ walBytes }) => walBytes, 'Holdfast', 'plain queue')
  }
]

export const scenarios: Scenario[] = [
  {
    title: 'Enqueue, one message per request, 64 callers',
    entries: [
      { name: 'do-nothing route', subject: 'nothing', load: enqueue },
      { name: 'Holdfast', subject: 'holdfast', load: enqueue },
      { name: 'Holdfast, with a key', subject: 'holdfast', load: { ...enqueue, keyed: true } },
      { name: 'plain queue', subject: 'plain', load: enqueue },
      { name: 'pg-boss', subject: 'pgboss', load: enqueue },
      { name: 'fauxqs, in memory', subject: 'fauxqs', load: enqueue }
    ],
    targets: [
      {
        what: 'of the do-nothing route',
        bound: '≥',
        must: 0.75,
        aim: 0.9,
        of: rate('Holdfast', 'do-nothing route')
      },
      { what: '× fauxqs in memory', bound: '≥', must: 1.2, of: rate('Holdfast', 'fauxqs, in memory') },
      { what: '× the plain queue', bound: '≥', must: 2.2, aim: 3, of: rate('Holdfast', 'plain queue') },
      { what: '× pg-boss', bound: '≥', must: 9, of: rate('Holdfast', 'pg-boss') },
      {
        what: 'with an idempotency key, × without',
        bound: '≥',
        must: 0.5,
        of: rate('Holdfast, with a key', 'Holdfast')
      },
      ...costsOfPlainQueue
    ]
  },
  {
    title: 'Lease and ack, one message each, 64 callers',
    entries: [
      { name: 'do-nothing route, two requests', subject: 'nothing', requestsPerMessage: 2, load: enqueue },
      { name: 'Holdfast', subject: 'holdfast', load: consume },
      { name: 'Holdfast, ack within lease', subject: 'holdfast', load: { ...consume, step: 'loop' } },
      {
        name: 'Holdfast, ack within lease, with a key',
        subject: 'holdfast',
        load: { ...consume, step: 'loop', keyed: true }
      },
      { name: 'plain queue', subject: 'plain', load: consume },
      { name: 'pg-boss', subject: 'pgboss', load: consume },
      { name: 'fauxqs, in memory', subject: 'fauxqs', load: consume }
    ],
    targets: [
      {
        what: 'of two requests to the do-nothing route',
        bound: '≥',
        must: 0.5,
        aim: 0.65,
        of: rate('Holdfast', 'do-nothing route, two requests')
      },
      { what: '× fauxqs in memory', bound: '≥', must: 1.3, of: rate('Holdfast', 'fauxqs, in memory') },
      { what: '× the plain queue', bound: '≥', must: 3, aim: 4, of: rate('Holdfast', 'plain queue') },
      {
        what: 'ack within lease, × the two requests',
        bound: '≥',
        must: 1.5,
        of: rate('Holdfast, ack within lease', 'Holdfast')
      },
      {
        what: 'the same with an idempotency key, × without',
        bound: '≥',
        must: 0.7,
        of: rate('Holdfast, ack within lease, with a key', 'Holdfast, ack within lease')
      },
      ...costsOfPlainQueue
    ]
  },
  {
    title: 'SQS by signed requests, one message each, 64 callers',
    entries: [
      { name: 'REST, enqueue', subject: 'holdfast', load: enqueue },
      { name: 'SQS, send', subject: 'signed', load: enqueue },
      { name: 'SQS, send without a key', subject: 'unsigned', load: enqueue },
      { name: 'REST, lease and ack', subject: 'holdfast', load: consume },
      { name: 'SQS, receive and delete', subject: 'signed', load: consume }
    ],
    targets: [
      { what: 'send, × REST', bound: '≥', must: 0.6, of: rate('SQS, send', 'REST, enqueue') },
      {
        what: 'receive and delete, × REST',
        bound: '≥',
        must: 0.6,
        of: rate('SQS, receive and delete', 'REST, lease and ack')
      },
      {
        what: 'check of a signature and its key, in µs of the service',
        bound: '≤',
        must: 70,
        of: round => {
          const [signed, unsigned] = [round['SQS, send']!, round['SQS, send without a key']!]
          return signed.serviceUs === null ? null : signed.serviceUs - unsigned.serviceUs!
        }
      }
    ]
  },
  {
    title: 'SQS by signed requests, ten messages each, 16 callers',
    entries: [
      { name: 'send', subject: 'signed', load: { ...enqueue, ...ten } },
      { name: 'send, fauxqs in memory', subject: 'fauxqs', load: { ...enqueue, ...ten } },
      { name: 'receive and delete', subject: 'signed', load: { ...consume, ...ten } },
      { name: 'receive and delete, fauxqs in memory', subject: 'fauxqs', load: { ...consume, ...ten } }
    ],
    targets: ['send', 'receive and delete'].map((step): Target => ({
      what: `${step}, × fauxqs in memory, which checks no signature`,
      bound: '≥',
      must: 1,
      of: rate(step, `${step}, fauxqs in memory`)
    }))
  },
  {
    title: 'Ack, one message per request, 64 callers',
    entries: [
      { name: 'ack', subject: 'holdfast', load: ack },
      { name: 'ack with then', subject: 'holdfast', isNew: true, load: { ...ack, then: true } }
    ],
    targets: [{ what: 'ack with then, × ack', bound: '≥', must: 0.6, of: rate('ack with then', 'ack') }]
  },
  {
    title: 'Enqueue, 100 messages per request, 16 callers',
    entries: [
      { name: 'Holdfast', subject: 'holdfast', load: { ...enqueue, ...hundred } },
      { name: 'plain queue', subject: 'plain', load: { ...enqueue, ...hundred } },
      { name: 'pg-boss', subject: 'pgboss', load: { ...enqueue, ...hundred } },
      { name: 'fauxqs, in memory, by tens', subject: 'fauxqs', load: { ...enqueue, ...ten } }
    ],
    targets: [
      { what: '× the plain queue', bound: '≥', must: 1.2, of: rate('Holdfast', 'plain queue') },
      { what: '× pg-boss', bound: '≥', must: 1, of: rate('Holdfast', 'pg-boss') },
      { what: '× fauxqs in memory', bound: '≥', must: 1, of: rate('Holdfast', 'fauxqs, in memory, by tens') }
    ]
  },
  {
    title: 'Lease and ack, 100 messages per request, 16 callers',
    entries: [
      { name: 'Holdfast', subject: 'holdfast', load: { ...consume, ...hundred } },
      { name: 'plain queue', subject: 'plain', load: { ...consume, ...hundred } },
      { name: 'pg-boss', subject: 'pgboss', load: { ...consume, ...hundred } },
      { name: 'fauxqs, in memory, by tens', subject: 'fauxqs', load: { ...consume, ...ten } }
    ],
    targets: [
      { what: '× the plain queue', bound: '≥', must: 2, of: rate('Holdfast', 'plain queue') },
      { what: '× pg-boss', bound: '≥', must: 1, of: rate('Holdfast', 'pg-boss') },
      { what: '× fauxqs in memory', bound: '≥', must: 1, of: rate('Holdfast', 'fauxqs, in memory, by tens') }
    ]
  },
  {
    title: 'Enqueue, one message per request, one caller alone',
    entries: [
      { name: 'do-nothing route', subject: 'nothing', load: { ...enqueue, callers: 1 } },
      { name: 'Holdfast', subject: 'holdfast', load: { ...enqueue, callers: 1 } },
      { name: 'plain queue', subject: 'plain', load: { ...enqueue, callers: 1 } }
    ],
    targets: [
      {
        what: "p50, of the plain queue's",
        bound: '≤',
        must: 1.3,
        of: ratio(({ p50Ms }) => p50Ms, 'Holdfast', 'plain queue')
      }
    ]
  },
  {
    title: 'From enqueue to receipt, 64 consumers waiting, 200 messages a second',
    entries: [
      { name: 'one replica', subject: 'holdfast', load: { ...enqueue, step: 'latency', ratePerSecond: 200 } },
      {
        name: 'enqueued at one replica, leased at another',
        subject: 'holdfast',
        acrossReplicas: true,
        load: { ...enqueue, step: 'latency', ratePerSecond: 200 }
      }
    ],
    targets: [
      { what: 'p50 in ms', bound: '≤', must: 2, of: round => round['one replica']!.p50Ms },
      { what: 'p99 in ms', bound: '≤', must: 10, of: round => round['one replica']!.p99Ms },
      {
        what: 'p50 in ms, across replicas',
        bound: '≤',
        must: 10,
        of: round => round['enqueued at one replica, leased at another']!.p50Ms
      }
    ]
  },
  {
    title: 'Two processes on one port, one message each, 256 callers',
    entries: [
      { name: 'do-nothing route, one process', subject: 'nothing', load: { ...enqueue, callers: 256 } },
      ...(
        [
          ['enqueue', { ...enqueue, callers: 256 }],
          ['lease and ack', { ...consume, callers: 256 }],
          ['ack within lease', { ...consume, step: 'loop', callers: 256 }]
        ] as const
      ).flatMap(([step, load]): Entry[] => [
        { name: `${step}, one process`, subject: 'holdfast', load },
        { name: `${step}, two processes`, subject: 'processes', load }
      ])
    ],
    targets: [
      ...Object.entries({ enqueue: 1.25, 'lease and ack': 1.15, 'ack within lease': 1.25 }).map(
        ([step, must]): Target => ({
          what: `${step}, × one process`,
          bound: '≥',
          must,
          of: rate(`${step}, two processes`, `${step}, one process`)
        })
      ),
      ...Object.entries({ enqueue: 1, 'ack within lease': 0.74 }).map(([step, must]): Target => ({
        what: `${step}, of the do-nothing route`,
        bound: '≥',
        must,
        of: rate(`${step}, two processes`, 'do-nothing route, one process')
      }))
    ]
  },
  {
    title: 'Lease and ack with limits that do not bind, 64 callers',
    entries: ['', ', ack within lease'].flatMap((step): Entry[] => {
      const load = step === '' ? consume : ({ ...consume, step: 'loop' } as const)
      return [
        { name: `no limit${step}`, subject: 'holdfast', load },
        { name: `maxLeased${step}`, subject: 'holdfast', load: { ...load, queue: 'maxLeased' } },
        { name: `rate${step}`, subject: 'holdfast', load: { ...load, queue: 'rate' } }
      ]
    }),
    targets: ['', ', ack within lease'].flatMap(step =>
      ['maxLeased', 'rate'].map((limit): Target => ({
        what: `${limit}${step}, × no limit`,
        bound: '≥',
        must: 0.8,
        of: rate(`${limit}${step}`, `no limit${step}`)
      }))
    )
  },
  {
    title: 'Lease and ack of 1,000 groups that take turns, one message each, 64 callers',
    entries: [
      { name: 'no turns', subject: 'holdfast', load: consume },
      ...(['turns', 'maxLeasedPerGroup', 'ratePerGroup'] as const).map((queue): Entry => ({
        name: queue,
        subject: 'holdfast',
        load: { ...consume, queue, groups: 1000 }
      }))
    ],
    targets: (['maxLeasedPerGroup', 'ratePerGroup'] as const).map((limit): Target => ({
      what: `${limit}, × turns`,
      bound: '≥',
      must: 0.8,
      of: rate(limit, 'turns')
    }))
  },
  {
    title: 'Lease and ack of an ordered queue, one message each, 64 callers',
    entries: [
      { name: 'no order', subject: 'holdfast', load: consume },
      {
        name: '100,000 groups',
        subject: 'holdfast',
        load: { ...consume, queue: 'ordered', groups: 100_000 }
      },
      { name: '100 groups', subject: 'holdfast', load: { ...consume, queue: 'ordered', groups: 100 } }
    ],
    targets: [
      { what: '100,000 groups, × no order', bound: '≥', must: 0.5, of: rate('100,000 groups', 'no order') }
    ]
  },
  {
    title: 'Enqueue with a unique key, one message per request, 64 callers',
    entries: [
      { name: 'idempotency keys', subject: 'holdfast', load: { ...enqueue, keyed: true } },
      {
        name: '100 unique keys, replace',
        subject: 'holdfast',
        isNew: true,
        load: { ...enqueue, uniqueKeys: 100 }
      }
    ],
    targets: [
      {
        what: '100 unique keys, × idempotency keys',
        bound: '≥',
        must: 0.7,
        of: rate('100 unique keys, replace', 'idempotency keys')
      }
    ]
  },
  {
    title: 'Enqueue to an ordered queue, one message per request, 64 callers',
    entries: [
      { name: 'no order', subject: 'holdfast', load: enqueue },
      {
        name: '100,000 groups',
        subject: 'holdfast',
        load: { ...enqueue, queue: 'ordered', groups: 100_000 }
      }
    ],
    targets: [
      { what: '100,000 groups, × no order', bound: '≥', must: 0.5, of: rate('100,000 groups', 'no order') }
    ]
  },
  {
    title: 'Publish to a topic with ten queues, 64 callers',
    entries: [
      { name: 'ten copies of each', subject: 'holdfast', isNew: true, load: { ...enqueue, step: 'publish' } },
      { name: 'enqueues of ten messages', subject: 'holdfast', load: { ...enqueue, count: 10 } }
    ],
    targets: [
      {
        what: 'publishes a second',
        bound: '≥',
        must: 3000,
        of: round => round['ten copies of each']!.perSecond / tenTopic.queues.length
      },
      {
        what: 'copies, × messages enqueued by ten',
        bound: '≥',
        must: 0.5,
        of: rate('ten copies of each', 'enqueues of ten messages')
      }
    ]
  },
  {
    title: 'Push to an endpoint that answers at once, 100 requests at a time',
    entries: [
      { name: 'deliveries', subject: 'holdfast', isNew: true, load: { ...consume, callers: 1, step: 'push' } }
    ],
    targets: [
      {
        what: 'deliveries a second',
        bound: '≥',
        must: 2000,
        of: round => round['deliveries']!.perSecond
      }
    ]
  },
  bodies('Enqueue', enqueue),
  bodies('Lease and ack', consume)
]

function bodies(title: string, load: Entry['load']): Scenario {
  const bytes = ({ bytesPerSecond }: Figures) => bytesPerSecond
  return {
    title: `${title}, by size of the body, 64 callers`,
    entries: [
      { name: '200 B', subject: 'holdfast', load },
      { name: '4 KiB', subject: 'holdfast', load: { ...load, bodyBytes: 4096 } },
      { name: '64 KiB', subject: 'holdfast', load: { ...load, bodyBytes: 65_536 } }
    ],
    targets: [
      { what: 'bytes/s at 4 KiB, × those at 200 B', bound: '≥', must: 1, of: ratio(bytes, '4 KiB', '200 B') },
      {
        what: 'bytes/s at 64 KiB, × those at 4 KiB',
        bound: '≥',
        must: 1,
        of: ratio(bytes, '64 KiB', '4 KiB')
      }
    ]
  }
}
