/**
 * Producers and consumers, in a process that the bench can stop. What they did and were told goes
 * into the history.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { counts, history, lease, leaseMs, load, phase, settle, type Held } from './calls.ts'
import { produce } from './producers.ts'
import { kinds } from './kinds.ts'
import { random, type Random } from './random.ts'

const zombieLeaseMs = 1000

async function consume(dice: Random): Promise<void> {
  let done: Held[] = []
  let queue = dice.pick(load.queues)
  while (phase.consuming) {
    if (done.length === 0) queue = dice.pick(load.queues)
    const held = await lease(queue, 1 + dice.below(load.leaseMax), leaseMs, done, dice)
    done = []
    const fates = Map.groupBy(held, message => fateOf(message, dice))
    const of = (fate: string) => fates.get(fate) ?? []
    if (of('extend').length > 0) longJobs.add(work(of('extend'), dice))
    await settle('fail', of('fail'), dice)
    await settle('fail', of('back'), dice, { delaySeconds: 0 })
    await settle('fail', of('dead'), dice, { dead: true })
    if (queue === 'mortal' && of('dead').length > 0) longJobs.add(regret(of('dead'), dice))
    await settle('release', of('release'), dice)
    await settle('ack', of('ack'), dice)
    done = of('step')
  }
  await settle('ack', done, dice)
}

/** What a consumer does with a message. A `step` is acked with the next lease. */
function fateOf({ fence, queue }: Held, dice: Random): string {
  const isLined = queue === 'ordered' || queue === 'turns'
  const usuallyExtended = queue === 'unique' ? 30 : 3
  return dice.weighted({
    ack: 60,
    step: 24,
    fail: isLined ? 10 : 4,
    back: 3,
    release: isLined ? 10 : 4,
    // A message that had a holder before often takes long, so that this holder's late call meets a
    // newer lease.
    extend: fence > 1 ? 100 : usuallyExtended,
    dead: queue === 'mortal' || queue === 'unique' ? 30 : 1,
    abandon: 1
  })
}

/** A consumer that acks what it let die. Its receipt ended when the message left the queue. */
async function regret(held: Held[], dice: Random): Promise<void> {
  for (let attempt = 1; attempt <= 12; attempt++) {
    await pause(dice.below(250))
    await settle('ack', held, dice)
  }
}

const longJobs = new Set<Promise<void>>()

/** Work that takes longer than its lease, which is extended. */
async function work(held: Held[], dice: Random): Promise<void> {
  await settle('extend', held, dice, { leaseSeconds: (2 * leaseMs) / 1000 })
  await pause(leaseMs + 300)
  await settle('ack', held, dice)
}

/** A zombie: it settles after the end of its lease. */
async function haunt(dice: Random): Promise<void> {
  while (phase.consuming) {
    const held = await lease(dice.pick(load.queues), 1 + dice.below(5), zombieLeaseMs, [], dice)
    if (held.length === 0) continue
    await pause(zombieLeaseMs + 300 + dice.below(2000))
    const verb = dice.pick(['ack', 'ack', 'fail', 'release', 'extend'] as const)
    await settle(verb, held, dice, verb === 'extend' ? { leaseSeconds: 1 } : {})
  }
}

process.on('message', word => {
  phase.producing = false
  if (word === 'stop') phase.consuming = false
})
process.on('disconnect', () => process.exit())
const telling = setInterval(() => process.send!(counts), 250)
const callers = (
  [
    [produce, load.producers],
    [consume, load.consumers],
    [haunt, load.zombies],
    ...(load.kinds ? kinds : []).map(work => [work, 1] as const)
  ] as const
).flatMap(([work, count], kind) =>
  Array.from({ length: count }, (_, index) => work(random(load.seed * 1000 + kind * 100 + index)))
)
await Promise.all(callers)
await Promise.all(longJobs)
clearInterval(telling)
await new Promise<void>(resolve => {
  history.end(resolve)
})
process.exit()
