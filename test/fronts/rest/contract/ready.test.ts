/** How long a queue's oldest ready message has been ready: in the report, the list and the metrics. */
import t from 'tap'
import { holdfast, queue, sql } from './setup.ts'
import { pollPause } from '../../../support/pollPause.ts'

type Queue = Awaited<ReturnType<typeof queue>>

const hour = 3600
/** What a message that has just become ready may show on a slow machine. */
const littleSeconds = 60
/** By how much a sweep is late. A sweep begins a minute before the end of the last one. */
const lateSeconds = 30

/** Lets an hour pass for the queue's messages, but not for their delays and leases. */
async function passHour({ name }: Queue): Promise<void> {
  await sql.query(
    `
    update holdfast.messages
    set enqueued_at = enqueued_at - interval '1 hour',
      ready_at = ready_at - interval '1 hour'
    where queue_id = (select id from holdfast.queues where name = $1)`,
    [name]
  )
}

/** Waits until the queue's only message is ready. Returns for how many seconds it is said to be. */
async function readySeconds(q: Queue): Promise<number> {
  while ((await q.report()).counts.ready !== 1) await pollPause()
  return (await q.report()).oldestReadySeconds
}

t.test('a message is ready since its enqueue', async t => {
  const q = await queue()
  await q.enqueue({ body: 1 })
  t.ok((await readySeconds(q)) < littleSeconds)
  await passHour(q)
  const seconds = await readySeconds(q)
  t.ok(seconds >= hour && seconds < hour + littleSeconds, `${seconds} s`)
  const { queues } = (await holdfast.get('/queues?limit=1000')).body
  const listed = queues.find((row: { queue: string }) => row.queue === q.name).oldestReadySeconds
  t.ok(listed >= hour && listed < hour + littleSeconds, `${listed} s in the list`)
})

/** Each takes a queue with one message, enqueued an hour ago and leased, and makes it ready. */
const waysBack: Record<string, (q: Queue, held: { receipt: string; id: string }) => Promise<unknown>> = {
  'a fail without a delay': (q, held) => q.outcome('fail', held, { delaySeconds: 0 }),
  'a release': (q, held) => q.outcome('release', held),
  'the end of its lease': q => q.age(600),
  'the end of its retry delay': async (q, held) => {
    await q.outcome('fail', held, { delaySeconds: 600 })
    await q.age(601)
  },
  'a retry': async (q, held) => {
    await q.outcome('fail', held, { delaySeconds: 600 })
    await passHour(q)
    await holdfast.post(`${q.path}/retry`)
  },
  'a redrive': async (q, held) => {
    await q.outcome('fail', held, { dead: true })
    await passHour(q)
    await holdfast.post(`${q.path}/redrive`)
  }
}

for (const [way, goBack] of Object.entries(waysBack)) {
  t.test(`a message that came back is ready since ${way}`, async t => {
    const q = await queue({ leaseSeconds: 590 })
    await q.enqueue({ body: 1 })
    const [held] = await q.lease()
    await passHour(q)
    await goBack(q, held)
    const seconds = await readySeconds(q)
    t.ok(seconds < littleSeconds, `${seconds} s`)
    await passHour(q)
    const later = await readySeconds(q)
    t.ok(later >= hour && later < hour + littleSeconds, `${later} s an hour later`)
  })
}

t.test('a delayed message is ready since the end of its delay', async t => {
  const q = await queue()
  await q.enqueue({ body: 1, delaySeconds: 600 })
  await passHour(q)
  t.equal((await q.report()).oldestReadySeconds, null)
  await q.age(600)
  t.ok((await readySeconds(q)) < littleSeconds)
})

t.test('a message that waits for an earlier one of its group is ready since its enqueue', async t => {
  const q = await queue({ ordering: 'group' })
  await q.enqueue({ messages: [1, 2].map(body => ({ body, group: 'g' })) })
  const [first] = await q.lease()
  await q.outcome('fail', first, { delaySeconds: 600 })
  await passHour(q)
  const seconds = await readySeconds(q)
  t.ok(seconds >= hour && seconds < hour + littleSeconds, `${seconds} s`)
})

t.test('a delay or a lease that ended while no sweeper ran counts from its end', async t => {
  const [delayed, leased] = [await queue(), await queue({ leaseSeconds: 600 })]
  await delayed.enqueue({ body: 1, delaySeconds: 600 })
  await leased.enqueue({ body: 1 })
  await leased.lease()
  for (const q of [delayed, leased]) {
    await q.age(600 + lateSeconds)
    const seconds = await readySeconds(q)
    t.ok(seconds >= lateSeconds && seconds < lateSeconds + littleSeconds, `${seconds} s`)
  }
})

t.test('metrics say how long the oldest message has been ready, and which queues are paused', async t => {
  const q = await queue({ paused: true })
  await q.enqueue({ body: 1, delaySeconds: 600 })
  await passHour(q)
  await q.age(600)
  await readySeconds(q)
  const value = async (name: string) => {
    const { text } = await holdfast.get('/metrics')
    return Number(new RegExp(`^${name}\\{queue="${q.name}"[^}]*\\} (\\S+)$`, 'm').exec(text)?.[1])
  }
  // Until the ledger is folded.
  while ((await value('holdfast_oldest_ready_seconds')) === 0) await pollPause()
  t.ok((await value('holdfast_oldest_ready_seconds')) < littleSeconds)
  t.equal(await value('holdfast_queue_paused'), 1)
  await q.put({ paused: false })
  t.equal(await value('holdfast_queue_paused'), 0)
})
