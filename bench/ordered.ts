/**
 * The large set-ups of ordered queues and of turns: a million messages in 100,000 groups, one group
 * alone, and a group that floods a queue.
 */
import type { Bench } from './bench.ts'
import { drive } from './measure.ts'
import type { Results } from './report.ts'
import { rate, type Entry, type Round, type Target } from './scenarios.ts'
import { ask, base, fill, million, type Say } from './setUps.ts'
import type { Subject } from './subjects.ts'

const groups = 100_000
const consume = { ...base, step: 'consume' } as const

/** One side of a comparison, on a database of its own. */
interface Side {
  load: Entry['load']
  prepare?: (subject: Subject) => Promise<void>
}

interface Comparison {
  title: string
  sides: Record<string, Side>
  targets: Target[]
}

const enqueueTo = (load: Partial<Entry['load']>, messagesMax: number) => async (subject: Subject) => {
  await drive(subject, { ...fill, ...load, messagesMax })
}

const backlog = enqueueTo({ queue: 'ordered', groups }, million)

const quiet = {
  ...base,
  step: 'latency',
  queue: 'turns',
  groups: 1000,
  ratePerSecond: 200,
  workMs: 100,
  runMs: 10_000
} as const

const comparisons: Comparison[] = [
  {
    title: '1 M messages in 100,000 groups, lease and ack, 64 callers',
    sides: {
      'no order': { load: consume, prepare: enqueueTo({}, million) },
      ordered: { load: { ...consume, queue: 'ordered', groups }, prepare: backlog },
      'half of the groups blocked': {
        load: { ...consume, queue: 'ordered', groups },
        async prepare(subject) {
          await backlog(subject)
          await blockGroups(subject, groups / 2)
        }
      }
    },
    targets: [
      { what: 'ordered, × no order', bound: '≥', must: 0.5, of: rate('ordered', 'no order') },
      {
        what: 'half of the groups blocked, × none',
        bound: '≥',
        must: 0.9,
        of: rate('half of the groups blocked', 'ordered')
      }
    ]
  },
  {
    title: 'One group alone, 64 consumers waiting',
    sides: {
      'one message each': {
        load: { ...consume, queue: 'ordered', groups: 1, waits: true },
        prepare: enqueueTo({ queue: 'ordered', groups: 1 }, 100_000)
      },
      'lists of 100': {
        load: { ...consume, queue: 'ordered', groups: 1, waits: true, count: 100 },
        prepare: enqueueTo({ queue: 'ordered', groups: 1 }, 200_000)
      }
    },
    targets: [
      {
        what: 'messages a second, each after the ack of the one before',
        bound: '≥',
        must: 300,
        of: round => round['one message each']!.perSecond
      },
      {
        what: 'messages a second in lists',
        bound: '≥',
        must: 5000,
        of: round => round['lists of 100']!.perSecond
      }
    ]
  },
  {
    title: 'From enqueue to receipt in 1,000 quiet groups, 200 a second, 64 consumers of 100 ms each',
    sides: {
      'nothing beside': { load: quiet },
      'a group of 100,000 beside': { load: quiet, prepare: enqueueTo({ queue: 'turns', groups: 1 }, 100_000) }
    },
    targets: [
      {
        what: 'p99 beside the flood, of an idle queue',
        bound: '≤',
        must: 2,
        of: round => round['a group of 100,000 beside']!.p99Ms / round['nothing beside']!.p99Ms
      }
    ]
  }
]

/** Measures the comparisons whose title holds `only`, their sides in turns. */
export async function ordered(bench: Bench, rounds: number, only: string, say: Say): Promise<Results> {
  const results: Results = []
  for (const { title, sides, targets } of comparisons.filter(({ title }) => title.includes(only))) {
    const entries = Object.entries(sides).map(([name, { load }]): Entry => ({
      name,
      subject: 'holdfast',
      load
    }))
    const subjects: Subject[] = []
    for (const [n, { prepare }] of Object.values(sides).entries()) {
      say(`${title} · preparing ${entries[n]!.name}`)
      const subject = await bench.subject('holdfast', { database: `ordered${n}` })
      await prepare?.(subject)
      await bench.slice(entries[n]!, subject, { keep: true })
      subjects.push(subject)
    }
    const measured: Round[] = []
    for (let number = 0; number < rounds; number++) {
      const round: Round = {}
      for (let turn = 0; turn < entries.length; turn++) {
        const n = (turn + number) % entries.length
        say(`${title} · ${entries[n]!.name} · round ${number + 1} of ${rounds}`)
        round[entries[n]!.name] = await bench.slice(entries[n]!, subjects[n], { keep: true, settled: true })
      }
      measured.push(round)
    }
    for (const subject of subjects) await bench.drop(subject)
    results.push({ scenario: { title, entries, targets }, rounds: measured })
  }
  return results
}

/** Leases for an hour until this many groups are held. */
async function blockGroups(subject: Subject, count: number): Promise<void> {
  const blocked = new Set<string>()
  while (blocked.size < count) {
    const { messages } = await ask<{ messages: { group: string }[] }>(
      subject,
      'POST',
      '/queues/ordered/lease',
      { max: 1000, leaseSeconds: 3600 }
    )
    for (const { group } of messages) blocked.add(group)
  }
}
