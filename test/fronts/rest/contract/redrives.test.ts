/** Redrives that keep to a rate, and who may set a dead-letter queue or redrive to another queue. */
import t from 'tap'
import { pollPause } from '../../../support/pollPause.ts'
import { clientWith, guarded } from '../../../support/apiKeys.ts'
import { service } from '../../../support/service.ts'
import { holdfast, queue, sql } from './setup.ts'

type Queue = Awaited<ReturnType<typeof queue>>

/** A queue whose dead-letter queue holds this many of its messages. */
async function pairWith(dead: number): Promise<{ q: Queue; dlq: Queue }> {
  const dlq = await queue()
  const q = await queue({ deadLetterQueue: dlq.name })
  await q.enqueue({ messages: Array.from({ length: dead }, (_, body) => ({ body })) })
  const failures = (await q.lease({ max: dead })).map(({ receipt }) => ({ receipt, dead: true }))
  await q.settle('fail', { failures })
  return { q, dlq }
}

const start = (dlq: Queue, body: object) => holdfast.post(`${dlq.path}/redrive`, body)
const listed = async (dlq: Queue): Promise<any[]> =>
  (await holdfast.get(`${dlq.path}/redrives`)).body.redrives

async function untilEnded(dlq: Queue): Promise<any> {
  for (;;) {
    const [task] = await listed(dlq)
    if (task.state !== 'running') return task
  }
}

t.test('a redrive with a rate is a task that goes on by itself', async t => {
  const { q, dlq } = await pairWith(60)
  const startedMs = performance.now()
  const answer = await start(dlq, { ratePerSecond: 40 })
  t.equal(answer.status, 202)
  const { task } = answer.body
  t.match(await listed(dlq), [{ task, to: null, ratePerSecond: 40, state: 'running', startedAt: String }])
  const second = await start(dlq, { ratePerSecond: 1 })
  t.match(second, { status: 409, body: { code: 'redriveRunning' } })
  t.match(await untilEnded(dlq), { task, redriven: 60, state: 'done' })
  const seconds = (performance.now() - startedMs) / 1000
  t.ok(seconds > 60 / 40 - 0.1, `${seconds} s are not too fast`)
  const leased = await q.lease({ max: 100 })
  t.strictSame(
    leased.map(({ body }) => body),
    Array.from({ length: 60 }, (_, body) => body),
    'all are home, in their order'
  )
  t.match((await dlq.report()).counts, { ready: 0, dead: 0 })
})

t.test('a task takes a target, ids, a filter and a limit', async t => {
  const { dlq } = await pairWith(5)
  await start(dlq, { ratePerSecond: 1000, to: 'there', where: { contains: '3' } })
  t.match(await untilEnded(dlq), { to: 'there', redriven: 1, state: 'done' })
  await start(dlq, { ratePerSecond: 1000, to: 'there', limit: 2 })
  t.match(await untilEnded(dlq), { redriven: 2, state: 'done' })
  const ids = (await holdfast.get(`${dlq.path}/messages`)).body.messages.map(({ id }: any) => id)
  await start(dlq, { ratePerSecond: 1000, to: 'there', ids: [ids[1]] })
  t.match(await untilEnded(dlq), { redriven: 1, state: 'done' })
  const { messages } = (await holdfast.post('/queues/there/lease', { max: 10 })).body
  t.strictSame(
    messages.map(({ body }: any) => body),
    [3, 0, 1, 4]
  )
  t.match((await start(dlq, { ratePerSecond: 1, dryRun: true })).body, { matched: 1 })
})

t.test('a task is stopped, and leaves the rest; one that was made up is not found', async t => {
  const { dlq } = await pairWith(10)
  const { task } = (await start(dlq, { ratePerSecond: 0.01 })).body
  while ((await listed(dlq))[0].redriven === 0) await pollPause()
  const stop = (which: string) => holdfast.call('DELETE', `${dlq.path}/redrives/${which}`)
  t.equal((await stop(task)).status, 204)
  t.equal((await stop(task)).status, 204)
  for (const other of ['999999', '9'.repeat(19), 'nope', '-1']) {
    t.match(await stop(other), { status: 404, body: { code: 'redriveNotFound' } }, other)
  }
  t.match(await listed(dlq), [{ task, redriven: 1, state: 'stopped' }])
  t.match((await dlq.report()).counts, { ready: 9 })
  t.equal((await start(dlq, { ratePerSecond: 0.01 })).status, 202, 'and then another may start')
  await holdfast.call('DELETE', dlq.path)
  t.equal((await holdfast.get(`${dlq.path}/redrives`)).status, 404)
  t.strictSame((await sql.query("select from holdfast.redrives where state = 'running'")).rows, [])
})

t.test('a task that the database refuses has failed, and keeps no other waiting', async t => {
  const { dlq } = await pairWith(3)
  const { dlq: other } = await pairWith(3)
  await sql.query("alter table holdfast.queues add constraint refused check (name <> 'refused')")
  await start(dlq, { ratePerSecond: 10, to: 'refused' })
  await start(other, { ratePerSecond: 10 })
  t.match(await untilEnded(dlq), { redriven: 0, state: 'failed', failure: 'refused' })
  t.match(await untilEnded(other), { redriven: 3, state: 'done', failure: null })
  t.match((await dlq.report()).counts, { ready: 3 }, 'nothing is lost')
  await sql.query('alter table holdfast.queues drop constraint refused')
  await start(dlq, { ratePerSecond: 10, to: 'refused' })
  t.match(await untilEnded(dlq), { redriven: 3, state: 'done' })
  await holdfast.call('DELETE', '/queues/refused')
})

t.test('a task survives the end of its replica', async t => {
  const one = await service(t)
  await one.call('PUT', '/queues/q', { deadLetterQueue: 'dlq' })
  await one.post('/queues/q/messages', { messages: Array.from({ length: 30 }, (_, body) => ({ body })) })
  const { messages } = (await one.post('/queues/q/lease', { max: 30 })).body
  await one.post('/queues/q/fail', {
    failures: messages.map(({ receipt }: any) => ({ receipt, dead: true }))
  })
  await one.post('/queues/dlq/redrive', { ratePerSecond: 20 })
  await one.stop()
  const two = await service(t, { database: { url: one.databaseUrl } })
  const state = async () => (await two.get('/queues/dlq/redrives')).body.redrives[0]
  while ((await state()).state === 'running') await pollPause()
  t.match(await state(), { redriven: 30, state: 'done' })
  t.match((await two.get('/queues/q')).body.counts, { ready: 30 })
})

t.test('to set a dead-letter queue, or to redrive to a queue, takes enqueue on it', async t => {
  const { holdfast, admin } = await guarded(t)
  const manager = await clientWith(holdfast, admin, ['manage:q', 'browse:dead', 'lease:q'])
  const both = await clientWith(holdfast, admin, ['manage:q', 'enqueue:dead'])
  const setTo = (client: typeof manager, deadLetterQueue: string | null) =>
    client.call('PUT', '/queues/q', { deadLetterQueue })
  t.match(await setTo(manager, 'dead'), { status: 403, body: { code: 'forbidden' } })
  t.match(await setTo(manager, 'unseen'), { status: 404, body: { code: 'queueNotFound' } })
  t.equal((await setTo(both, 'dead')).status, 201)
  t.equal((await setTo(manager, null)).status, 200, 'to unset it takes nothing more')
  await setTo(both, 'dead')
  await admin.post('/queues/q/messages', { body: 1 })
  const { messages } = (await manager.post('/queues/q/lease')).body
  const failure = { receipt: messages[0].receipt, dead: true }
  t.match((await manager.post('/queues/q/fail', failure)).body, { movedTo: 'dead' }, 'a worker needs nothing')
  for (const body of [{ to: 'dead' }, { to: 'dead', ratePerSecond: 1 }, { to: 'dead', dryRun: true }]) {
    t.match(await manager.post('/queues/q/redrive', body), { status: 403 }, JSON.stringify(body))
    t.ok((await both.post('/queues/q/redrive', body)).status < 300)
  }
})
