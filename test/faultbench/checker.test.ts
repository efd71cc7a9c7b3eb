/**
 * The checker of the fault bench, on histories written by hand: it finds each sin, and no other.
 */
import t from 'tap'
import { check } from './checker.ts'
import type { EnqueueEvent, FaultEvent, LeaseEvent, PushEvent, SettleEvent } from './history.ts'
import { sins, type Sin } from './sins.ts'
import { clean, enqueue, fault, find, forget, lease, push, settle, stored, unstore } from './world.ts'
import type { World } from './world.ts'

t.test('a history in which all is well is PASS, with its figures', async t => {
  const { verdict, findings, figures, untested } = check(clean().events, clean().audit)
  t.strictSame([verdict, Object.values(findings).flat(), untested], ['PASS', [], []])
  t.match(figures, {
    messages: 4,
    confirmed: 3,
    leases: 8,
    acked: 3,
    dead: 1,
    redelivered: 4,
    superseded: 1,
    unknown: 1,
    unknownDone: 1,
    refused: 1
  })
})

/** Makes the queue an ordered one, in which these messages are of one group. */
function inGroup(world: World, ...tokens: string[]): void {
  world.audit.queues[0]!.ordered = true
  for (const token of tokens) find<EnqueueEvent>(world, { token }).group = 'ada'
}

/** Has the endpoint of a push take the messages that consumers have acked. */
function makePushed(world: World): void {
  world.audit.queues[0]!.pushed = true
  world.events = world.events.filter(({ t }) => t !== 'lease' && t !== 'settle')
  world.events.push(push('one', '1', 1100), push('two', '2', 1200), push('four', '4', 1300))
}

const wrongs: [Sin, string, (world: World) => void][] = [
  [
    'lost',
    'a confirmed message that is nowhere',
    world => {
      world.events.push(enqueue('six', '6'))
    }
  ],
  [
    'lost',
    'an acked message that its queue was to keep',
    world => {
      unstore(world, '1')
    }
  ],
  [
    'lost',
    'a message that is gone before anybody acked it',
    world => {
      world.events.push(settle('ack', '2', 1, 3350, 'gone'))
    }
  ],
  [
    'unexpected',
    'a message that nobody sent',
    world => {
      world.events.push(lease('ghost', '7', 1, 1100))
      world.audit.queues[0]!.messages.push({ ...stored(world, '1'), id: '7', token: 'ghost' })
    }
  ],
  [
    'unexpected',
    'an id that stands for two messages',
    world => {
      world.events.push(enqueue('six', '1'))
    }
  ],
  [
    'resurrected',
    'a message whose enqueue was answered "none"',
    world => {
      Object.assign(find<EnqueueEvent>(world, { token: 'four' }), { out: 'none' })
    }
  ],
  [
    'doubled',
    'a message stored twice',
    world => {
      world.audit.queues[0]!.messages.push({ ...stored(world, '1'), id: '8' })
    }
  ],
  [
    'overlapping',
    'a lease before the end of the one before it',
    world => {
      Object.assign(find<LeaseEvent>(world, { id: '2', fence: 2 }), { until: 3000 + 2000, attempt: 2 })
    }
  ],
  [
    'overlapping',
    'a lease before the extended end of the one before it',
    world => {
      world.events.push(settle('extend', '2', 1, 1200, 'extended', { until: 4000 }))
    }
  ],
  [
    'overlapping',
    'one lease handed out twice',
    world => {
      world.events.push(lease('one', '1', 1, 1100))
    }
  ],
  [
    'afterAck',
    'a delivery after the ack',
    world => {
      world.events.push(lease('one', '1', 2, 3200))
      Object.assign(stored(world, '1'), { fence: 2, attempt: 2 })
      world.audit.queues[0]!.history.push({ id: '1', fence: 1, attempt: 1, outcome: 'expired' })
    }
  ],
  [
    'afterAck',
    'an acked message that is still there',
    world => {
      Object.assign(stored(world, '1'), { state: 'ready' })
      world.audit.queues[0]!.history.push({ id: '1', fence: 1, attempt: 1, outcome: 'expired' })
    }
  ],
  [
    'stale',
    'a superseded receipt that extends',
    world => {
      world.events.push(settle('extend', '2', 1, 3400, 'extended', { until: 3000 }))
    }
  ],
  [
    'changed',
    'a body that came back changed',
    world => {
      find<LeaseEvent>(world, { id: '1' }).print = 'other'
    }
  ],
  [
    'changed',
    'a body that is stored changed',
    world => {
      stored(world, '3').print = 'other'
    }
  ],
  [
    'unexplained',
    'a lease that ended without a record',
    world => {
      forget(world, '2', 1)
    }
  ],
  [
    'unexplained',
    'a dead message whose last failure is not on record',
    world => {
      forget(world, '3', 3)
    }
  ],
  [
    'unexplained',
    'a failure on record that nobody reported',
    world => {
      world.audit.queues[0]!.history[0]!.outcome = 'failed'
    }
  ],
  [
    'unexplained',
    'a lease that the database does not know',
    world => {
      world.events.push(lease('four', '4', 3, 5000, { attempt: 2 }))
    }
  ],
  [
    'miscounted',
    'an expiry that did not count',
    world => {
      find<LeaseEvent>(world, { id: '2', fence: 2 }).attempt = 1
      stored(world, '2').attempt = 1
    }
  ],
  [
    'miscounted',
    'a release that counted',
    world => {
      find<LeaseEvent>(world, { id: '4', fence: 2 }).attempt = 2
      stored(world, '4').attempt = 2
    }
  ],
  [
    'miscounted',
    'a death before the last attempt',
    world => {
      stored(world, '3').maxAttempts = 5
    }
  ],
  [
    'miscounted',
    'an attempt beyond the last',
    world => {
      find<LeaseEvent>(world, { id: '2', fence: 2 }).maxAttempts = 1
    }
  ],
  [
    'early',
    'a delayed message before its time',
    world => {
      find<EnqueueEvent>(world, { token: 'one' }).delayMs = 500
    }
  ],
  [
    'early',
    'a retry before its time',
    world => {
      find<SettleEvent>(world, { t: 'settle', id: '3', fence: 1 }).until = 1700
    }
  ],
  [
    'unbalanced',
    'wrong counts',
    world => {
      world.audit.unbalanced.push('kept counts 3 ready and has 2')
    }
  ],
  [
    'odd',
    'an answer that the contract does not allow',
    world => {
      world.events.push({ t: 'odd', at: 1, what: '500' })
    }
  ],
  [
    'outOfOrder',
    'a message that is leased before an earlier one of its group',
    world => {
      for (const [token, id, at] of [
        ['six', '6', 5000],
        ['seven', '7', 4000]
      ] as const) {
        world.events.push(
          enqueue(token, id),
          lease(token, id, 1, at),
          settle('ack', id, 1, at + 100, 'acked')
        )
        const print = `print of ${token}`
        world.audit.queues[0]!.messages.push({ ...stored(world, '1'), id, token, print })
      }
      inGroup(world, 'six', 'seven')
    }
  ],
  [
    'outOfOrder',
    'a group of which two answers hold messages',
    world => {
      inGroup(world, 'one', 'two')
      Object.assign(find<LeaseEvent>(world, { t: 'lease', id: '2' }), { until: 3150, at: 1145, end: 1155 })
    }
  ],
  [
    'stuck',
    'a message that nobody got',
    world => {
      world.events.push(enqueue('six', '6'))
      world.audit.queues[0]!.messages.push({
        ...stored(world, '1'),
        ...{ id: '6', token: 'six', print: 'print of six', state: 'ready', fence: 0, attempt: 0 }
      })
    }
  ],
  [
    'stuck',
    'a unique key that an acked message still holds',
    world => {
      world.events.push({ t: 'kept', queue: 'kept', key: 'key', id: '1', at: 1300, end: 1310 })
    }
  ],
  [
    'doubled',
    'a unique key that two hold',
    world => {
      for (const token of ['one', 'two']) find<EnqueueEvent>(world, { token }).unique = 'key'
    }
  ],
  [
    'doubled',
    'a message that is stored in two queues',
    world => {
      const [queue] = world.audit.queues
      world.audit.queues.push({ ...queue!, queue: 'dead', messages: [stored(world, '1')], history: [] })
    }
  ],
  [
    'stale',
    'an ack of a message that had died and moved',
    world => {
      world.audit.queues[0]!.moves = true
      world.events.push(settle('ack', '3', 3, 2500, 'acked'))
      Object.assign(stored(world, '3'), { state: 'acked' })
    }
  ],
  [
    'overLimit',
    'more leased at once than may be',
    world => {
      world.audit.queues[0]!.maxLeased = 2
    }
  ],
  [
    'overLimit',
    'more leased in a time than may be',
    world => {
      world.audit.queues[0]!.rate = { perSecond: 1, burst: 2 }
    }
  ],
  [
    'halfDone',
    'an ack without what follows from it',
    world => {
      find<SettleEvent>(world, { t: 'settle', id: '1' }).then = 'next'
    }
  ],
  [
    'halfDone',
    'what follows from an ack that was lost',
    world => {
      find<SettleEvent>(world, { t: 'settle', id: '2', fence: 1 }).then = 'next'
      world.events.push(enqueue('next', '9', { queue: 'next' }))
      const next = { ...stored(world, '1'), id: '9', token: 'next', print: 'print of next' }
      world.audit.queues.push({
        ...world.audit.queues[0]!,
        queue: 'next',
        messages: [next],
        history: []
      })
    }
  ],
  [
    'undelivered',
    'a push that is acked without a 2xx',
    world => {
      makePushed(world)
      find<PushEvent>(world, { token: 'two', t: 'push' }).status = 500
    }
  ],
  [
    'unexpected',
    'a push of another message under an id',
    world => {
      makePushed(world)
      world.events.push(push('two', '1', 1200))
    }
  ],
  [
    'changed',
    'a push that is not what was sent',
    world => {
      makePushed(world)
      world.events.push(push('one', '1', 1100, { print: 'other' }))
    }
  ],
  [
    'outOfOrder',
    'a push before the one before it was taken',
    world => {
      makePushed(world)
      inGroup(world, 'one', 'two')
      Object.assign(find<PushEvent>(world, { token: 'one', t: 'push' }), { at: 1250, end: 1250 })
      world.events.push(push('one', '1', 1100, { status: 500 }))
    }
  ],
  [
    'halfDone',
    'a copy without the other',
    world => {
      world.audit.topics = [['kept', 'other']]
      world.audit.queues.push({ ...world.audit.queues[0]!, queue: 'other', messages: [], history: [] })
    }
  ],
  [
    'slow',
    'no service after a fault',
    world => {
      find<FaultEvent>(world, { t: 'fault' }).upAfterMs = null
    }
  ],
  [
    'slow',
    'service too late after a fault',
    world => {
      find<FaultEvent>(world, { t: 'fault' }).upAfterMs = 5001
    }
  ]
]

for (const [sin, what, spoil] of wrongs) {
  t.test(`${what} is found, as ${sin}`, async t => {
    const world = clean()
    spoil(world)
    const { verdict, findings } = check(world.events, world.audit)
    t.equal(verdict, 'FAIL')
    t.strictSame(
      Object.entries(findings)
        .filter(([, list]) => list.length > 0)
        .map(([name]) => name),
      [sin],
      JSON.stringify(findings)
    )
  })
}

t.test('each sin has a history above that shows it', async t => {
  t.strictSame([...new Set(wrongs.map(([sin]) => sin))].sort(), Object.keys(sins).sort())
})

t.test('a run that tested nothing is UNKNOWN, never PASS', async t => {
  const unknown = (change: (world: World) => void) => {
    const world = clean()
    change(world)
    const { verdict, untested } = check(world.events, world.audit)
    return [verdict, ...untested]
  }
  t.strictSame(
    unknown(world => {
      world.events.push(fault({ name: 'cut', at: 9000 }))
    }),
    [
      'UNKNOWN',
      'nothing was enqueued during cut',
      'nothing was leased during cut',
      'nothing was acked during cut'
    ]
  )
  t.strictSame(
    unknown(world => {
      world.events.shift()
    }),
    ['UNKNOWN', 'no fault was injected']
  )
  t.strictSame(
    unknown(world => {
      Object.assign(world.events[0]!, { skipped: 'no small file system' })
    }),
    ['UNKNOWN', 'no fault was injected']
  )
  t.strictSame(
    unknown(world => {
      find<SettleEvent>(world, { out: 'leaseLost' }).out = 'unknown'
    }),
    ['UNKNOWN', 'no superseded receipt was used']
  )
})
