/** Ack, fail, extend and release: a receipt is a fence. */
import t from 'tap'
import { holdfast, queue } from './setup.ts'
import { pollPause } from '../../../support/pollPause.ts'

const msUntil = (time: string) => Date.parse(time) - Date.now()

t.test('a superseded receipt changes nothing, whatever it asks', async t => {
  const q = await queue()
  const id = await q.id({ body: 1 })
  const [late] = await q.lease()
  await q.age(60)
  const [current] = await q.lease({ waitSeconds: 5 })
  t.match(current, { id, attempt: 2, fence: 2, lastFailure: { attempt: 1, reason: 'lease expired' } })
  for (const [verb, options] of [
    ['ack', {}],
    ['fail', { dead: true }],
    ['extend', { leaseSeconds: 1 }],
    ['release', {}]
  ] as const) {
    const answer = await q.settle(verb, { receipt: late.receipt, ...options })
    t.match(answer, { status: 409, body: { code: 'leaseLost' } }, verb)
  }
  t.match((await q.message(id)).body, { state: 'leased', attempt: 2 })
  t.match(await q.settle('ack', { receipt: current.receipt }), { status: 200, body: { outcome: 'acked' } })
  t.match(await q.settle('ack', { receipt: late.receipt }), { status: 200, body: { outcome: 'gone' } })
  t.match(await q.settle('extend', { receipt: current.receipt, leaseSeconds: 1 }), {
    status: 409,
    body: { code: 'gone' }
  })
})

t.test('a receipt outlives its own fail and expiry, until the message is leased again', async t => {
  const q = await queue({ maxAttempts: 2 })
  const id = await q.id({ body: 1 })
  const [first] = await q.lease()
  const failed = await q.outcome('fail', first, { reason: 'no', delaySeconds: 600 })
  t.match(failed, { outcome: 'retrying', visibleAt: /Z$/ })
  const failedAgain = await q.outcome('fail', first, { delaySeconds: 300 })
  t.match(failedAgain, { outcome: 'retrying' }, 'a second fail sets the delay anew')
  t.ok(msUntil((await q.message(id)).body.visibleAt) < 301_000)
  t.match(await q.outcome('extend', first, { leaseSeconds: 5 }), { status: 409, code: 'leaseLost' })
  t.match(await q.outcome('release', first), { outcome: 'released' })
  t.equal((await q.message(id)).body.state, 'delayed', 'a release gives back a lease, not a retry')
  await q.age(300)
  const [second] = await q.lease({ waitSeconds: 5 })
  await q.age(60)
  while ((await q.message(id)).body.state !== 'dead') await pollPause()
  t.match(await q.outcome('fail', second), { outcome: 'dead' })
  t.match(await q.outcome('release', second), { outcome: 'dead' })
  t.match(await q.outcome('ack', second), { outcome: 'acked' })
})

t.test('a reason that PostgreSQL could not hold is cleaned, and the message fails all the same', async t => {
  const q = await queue()
  const id = await q.id({ body: 1 })
  const reasons = [
    ['"a\\u0000b"', 'a\ufffdb'],
    ['"\\ud800x\\udc00"', '\ufffdx\ufffd'],
    ['"\\ud83d\\ude00"', '\u{1f600}']
  ]
  for (const [sent, kept] of reasons) {
    const [{ receipt }] = await q.lease()
    const failure = `{"receipt":"${receipt}","delaySeconds":0,"reason":${sent}}`
    t.match(await holdfast.post(`${q.path}/fail`, failure), { status: 200, body: { outcome: 'retrying' } })
    t.equal((await q.message(id)).body.lastFailure.reason, kept)
  }
})

t.test("a failed message is retried after its queue's delay, and its last attempt is its death", async t => {
  for (const [strategy, delays] of [
    ['exponential', [10, 20, 25]],
    ['linear', [10, 20, 25]],
    ['fixed', [10, 10, 10]]
  ] as const) {
    const q = await queue({
      maxAttempts: 4,
      retry: { strategy, delaySeconds: 10, maxDelaySeconds: 25, jitter: false }
    })
    await q.enqueue({ body: 1 })
    for (const seconds of delays) {
      const [message] = await q.lease({ waitSeconds: 5 })
      const { visibleAt } = await q.outcome('fail', message, { reason: 'not yet' })
      t.ok(Math.abs(msUntil(visibleAt) - seconds * 1000) < 2000, `${strategy} ${seconds}`)
      await q.age(seconds)
    }
    const [last] = await q.lease({ waitSeconds: 5 })
    t.match(last, { attempt: 4, lastFailure: { attempt: 3, reason: 'not yet', at: /Z$/ } })
    t.match(await q.outcome('fail', last), { outcome: 'dead' })
  }
})

t.test('jitter adds up to as much again to the delay of a retry', async t => {
  const q = await queue({ retry: { strategy: 'fixed', delaySeconds: 100 } })
  await q.enqueue({ body: 1 })
  const [message] = await q.lease()
  const delayMs = msUntil((await q.outcome('fail', message)).visibleAt)
  t.ok(delayMs > 98_000 && delayMs < 201_000, `${delayMs} ms`)
})

t.test('a released lease does not count as an attempt, and its fence still rises', async t => {
  const q = await queue({ maxAttempts: 1 })
  await q.enqueue({ body: 1 })
  for (const fence of [1, 2, 3]) {
    const [message] = await q.lease()
    t.match(message, { attempt: 1, fence })
    t.match(await q.outcome('release', message), { outcome: 'released' })
    t.match(await q.outcome('release', message), { outcome: 'released' }, 'twice is once')
  }
})

t.test('extend counts from now, and may shorten: the sweeper heeds the new end', async t => {
  const q = await queue({ leaseSeconds: 600 })
  await q.enqueue({ messages: [{ body: 1 }, { body: 2 }] })
  const [longer, shorter] = await q.lease({ max: 2 })
  const { leaseExpiresAt } = await q.outcome('extend', longer, { leaseSeconds: 1200 })
  t.ok(Math.abs(msUntil(leaseExpiresAt) - 1_200_000) < 3000)
  await q.outcome('extend', shorter, { leaseSeconds: 0.2 })
  t.match(await q.lease({ waitSeconds: 5 }), [{ id: shorter.id, attempt: 2 }])
  t.equal((await q.message(longer.id)).body.state, 'leased')
  await q.age(1200)
  t.match(await q.lease({ waitSeconds: 5 }), [{ id: longer.id, attempt: 2 }], 'the longer one ends too')
})

t.test('a list is answered in its order, each entry with its own outcome', async t => {
  const q = await queue()
  await q.enqueue({ messages: [1, 2, 3, 4].map(body => ({ body })) })
  const [a, b, c, d] = (await q.lease({ max: 4 })).map(({ receipt }) => receipt)
  const outcomesOf = async (verb: string, list: object) => (await q.settle(verb, list)).body.outcomes
  await q.settle('ack', { receipt: b })
  t.strictSame(await outcomesOf('ack', { receipts: [a, b, a] }), [
    { receipt: a, outcome: 'acked' },
    { receipt: b, outcome: 'gone' },
    { receipt: a, outcome: 'acked' }
  ])
  const failures = [
    { receipt: c, dead: true },
    { receipt: d, delaySeconds: 0 }
  ]
  t.match(await outcomesOf('fail', { failures }), [{ outcome: 'dead' }, { outcome: 'retrying' }])
  const [{ receipt: again }] = (await q.lease()) as [any]
  const extensions = [again, d].map(receipt => ({ receipt, leaseSeconds: 9 }))
  t.match(await outcomesOf('extend', { extensions }), [
    { outcome: 'extended', leaseExpiresAt: /Z$/ },
    { outcome: 'leaseLost' }
  ])
  t.match(await outcomesOf('release', { receipts: [again, d] }), [
    { outcome: 'released' },
    { outcome: 'leaseLost' }
  ])
})

t.test('a repeated ack of a message that its queue keeps is answered with acked again', async t => {
  const q = await queue({ keepAckedSeconds: 60 })
  await q.enqueue({ body: 1 })
  const [message] = await q.lease()
  t.match(await q.outcome('ack', message), { outcome: 'acked' })
  t.match(await q.outcome('ack', message), { outcome: 'acked' })
  t.match(await q.outcome('fail', message), { outcome: 'gone' })
})
