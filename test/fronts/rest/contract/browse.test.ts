/** Messages seen without a lease: one of them, page by page, and by a producer who waits. */
import t from 'tap'
import { holdfast, queue } from './setup.ts'

t.test('a message shows its lease, and each attempt that ended without an ack', async t => {
  const q = await queue()
  const id = await q.id({ body: { a: 1 }, headers: { h: 'v' } })
  const [first] = await q.lease({ worker: 'w1' })
  await q.settle('fail', { receipt: first.receipt, reason: 'broken', delaySeconds: 0 })
  await q.lease({ worker: 'w2' })
  await q.age(60)
  const [third] = await q.lease({ worker: 'w3', waitSeconds: 5 })
  await q.settle('release', { receipt: third.receipt })
  await q.lease()
  const { body } = await q.message(id)
  t.match(body, {
    id,
    state: 'leased',
    body: { a: 1 },
    headers: { h: 'v' },
    attempt: 3,
    lease: { worker: /node|undici/, leasedAt: /Z$/, expiresAt: /Z$/ },
    lastFailure: { attempt: 2, reason: 'lease expired' }
  })
  t.match(body.history, [
    { attempt: 1, worker: 'w1', outcome: 'failed', reason: 'broken', leasedAt: /Z$/, endedAt: /Z$/ },
    { attempt: 2, worker: 'w2', outcome: 'expired', reason: 'lease expired' },
    { attempt: 3, worker: 'w3', outcome: 'released' }
  ])
  t.equal(body.history.length, 3)
})

t.test('of long reasons, the last attempts are shown that have room together', async t => {
  const q = await queue({ maxAttempts: 100 })
  const id = await q.id({ body: 1 })
  // 12 KiB each: 256 KiB hold 21 of them.
  const reason = '€'.repeat(4096)
  for (let n = 0; n < 22; n++) {
    const [{ receipt }] = await q.lease()
    await q.settle('fail', { receipt, reason, delaySeconds: 0 })
  }
  const { history } = (await q.message(id)).body
  t.equal(history.length, 21)
  t.match(history.at(-1), { attempt: 22, reason })
})

t.test('an id that no message has is messageNotFound', async t => {
  const q = await queue()
  for (const id of ['0', '999999999999', 'x', '-1', '99999999999999999999']) {
    t.match(await q.message(id), { status: 404, body: { code: 'messageNotFound' } }, id)
  }
})

t.test('browsing pages by id through every state, without receipts', async t => {
  const q = await queue({ keepAckedSeconds: 60 })
  await q.enqueue({ messages: Array.from({ length: 7 }, (_, body) => ({ body })) })
  await q.enqueue({ body: 'delayed', delaySeconds: 60 })
  const [acked, dead] = await q.lease({ max: 3 })
  await q.settle('ack', { receipt: acked.receipt })
  await q.settle('fail', { receipt: dead.receipt, dead: true })
  const browse = async (query: string) => {
    const messages: any[] = []
    for (let cursor = ''; ;) {
      const { body } = await holdfast.get(`${q.path}/messages?limit=2${query}${cursor}`)
      t.ok(body.messages.length <= 2)
      messages.push(...body.messages)
      if (body.cursor === null) return messages
      cursor = `&cursor=${body.cursor}`
    }
  }
  const messages = await browse('')
  t.strictSame(
    messages.map(({ state }) => state),
    ['dead', 'leased', 'ready', 'ready', 'ready', 'ready', 'delayed']
  )
  t.ok(messages.every(({ receipt }) => receipt === undefined))
  const counts = { ready: 4, delayed: 1, leased: 1, dead: 1, acked: 1 }
  for (const [state, count] of Object.entries(counts)) {
    const found = await browse(`&state=${state}`)
    t.ok(found.length === count && found.every(message => message.state === state), state)
  }
})

t.test('a producer waits until its message is acked, dead or gone', async t => {
  const q = await queue({ keepAckedSeconds: 60 })
  const wait = (id: string, seconds = 20) => holdfast.get(`${q.path}/messages/${id}?waitSeconds=${seconds}`)
  const acked = await q.id({ body: 1 })
  const waitingForAck = wait(acked)
  t.match(await wait(acked, 0.1), { status: 200, body: { state: 'ready' } }, 'not in time: as it is')
  const [first] = await q.lease()
  await q.settle('ack', { receipt: first.receipt })
  t.match(await waitingForAck, { status: 200, body: { state: 'acked', attempt: 1 } })

  const dead = await q.id({ body: 2 })
  const [second] = await q.lease()
  const waitingForDeath = wait(dead)
  await q.settle('fail', { receipt: second.receipt, dead: true })
  t.match(await waitingForDeath, { status: 200, body: { state: 'dead' } })

  const cancelled = await q.id({ body: 3 })
  const waitingForCancel = wait(cancelled)
  await holdfast.call('DELETE', `${q.path}/messages/${cancelled}`)
  t.equal((await waitingForCancel).status, 404)
})

t.test('a wait for an ack is refused where acked messages are not kept', async t => {
  const q = await queue()
  const id = await q.id({ body: 1 })
  t.match(await holdfast.get(`${q.path}/messages/${id}?waitSeconds=1`), {
    status: 409,
    body: { code: 'ackedNotKept' }
  })
})
