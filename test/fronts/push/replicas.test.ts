/** Push over several processes, replicas and restarts, and who may set it. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Webhook } from 'standardwebhooks'
import t from 'tap'
import { slotsOf } from '../../../src/fronts/push/front.ts'
import { connect } from '../../faults/setup.ts'
import { clientWith, guarded } from '../../support/apiKeys.ts'
import { endpoint, type Received } from '../../support/endpoint.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { service, serviceProcess, type Client } from '../../support/service.ts'

const env = { HOLDFAST_PUSH_PRIVATE: 'on' }
const put = (holdfast: Client, queue: string, change: object) =>
  holdfast.call('PUT', `/queues/${queue}/push`, change)
const fill = (holdfast: Client, queue: string, count: number) =>
  holdfast.post(`/queues/${queue}/messages`, {
    messages: Array.from({ length: count }, (_, body) => ({ body }))
  })

/** Waits until nothing of the queue is left to deliver. */
async function untilEmpty(holdfast: Client, queue: string): Promise<void> {
  let counts
  do counts = (await holdfast.get(`/queues/${queue}`)).body.counts
  while (counts.ready + counts.leased + counts.delayed > 0)
}

t.test('two replicas deliver, and a change at one counts at the other within two seconds', async t => {
  const database = await freshDatabase(t)
  const [first, second] = await Promise.all([service(t, { database, env }), service(t, { database, env })])
  const [one, two] = [await endpoint(t), await endpoint(t)]
  await put(first, 'q', { url: one.url })
  const madeMs = performance.now()
  let byBoth
  do {
    await fill(second, 'q', 20)
    byBoth = (await second.get('/queues/q/push')).body.deliveries.length > 0
  } while (!byBoth && performance.now() < madeMs + 5000)
  t.ok(byBoth, 'the other replica delivers too')
  await untilEmpty(first, 'q')
  await put(first, 'q', { url: two.url })
  const changedMs = performance.now()
  const before = one.received.length
  let lateMs = 0
  while (performance.now() < changedMs + 2500) {
    const seen = one.received.length
    await fill(second, 'q', 5)
    await untilEmpty(second, 'q')
    if (one.received.length > seen) lateMs = performance.now() - changedMs
  }
  t.ok(lateMs < 2000, `the old endpoint got the last of ${one.received.length - before} after ${lateMs} ms`)
  t.ok(two.received.length > 0)
})

t.test('the processes of a replica share maxConcurrent', async t => {
  for (const [maxConcurrent, processCount] of [
    [1, 3],
    [2, 4],
    [10, 3],
    [1000, 7]
  ] as const) {
    for (let queueId = 1; queueId <= processCount; queueId++) {
      const slots = Array.from({ length: processCount }, (_, processIndex) =>
        slotsOf({ maxConcurrent, queueId: String(queueId) }, { processIndex, processCount })
      )
      t.equal(
        slots.reduce((sum, count) => sum + count),
        maxConcurrent
      )
      t.ok(Math.max(...slots) - Math.min(...slots) <= 1)
    }
  }
  const database = await freshDatabase(t)
  const holdfast = await serviceProcess(t, {
    HOLDFAST_DATABASE_URL: database.url,
    HOLDFAST_PROCESSES: '2',
    ...env
  })
  const open: (() => void)[] = []
  const hook = await endpoint(t, () => new Promise(resolve => open.push(() => resolve({ status: 200 }))))
  await put(holdfast, 'q', { url: hook.url, maxConcurrent: 3 })
  await fill(holdfast, 'q', 30)
  for (let done = 0; done < 30; done++) {
    await hook.got(Math.min(30, done + 3))
    open[done]!()
  }
  await untilEmpty(holdfast, 'q')
  t.equal(hook.peak, 3)
  let deliveries: unknown[]
  do deliveries = (await holdfast.get('/queues/q/push')).body.deliveries
  while (deliveries.length < 30)
  t.equal(deliveries.length, 30, 'each process tells of the deliveries of all')
})

const verify = (secret: string, { body, headers }: Received) =>
  new Webhook(secret).verify(body, headers as Record<string, string>)

t.test('a secret outlives a restart, and with a file the database holds nothing that signs', async t => {
  const database = await freshDatabase(t)
  const sql = await connect(t, database.url)
  const file = join(t.testdir({}), 'secret')
  await writeFile(file, 'x'.repeat(48))
  const withFile = { ...env, HOLDFAST_SIGNING_SECRET_FILE: file }
  const hook = await endpoint(t)
  const first = await service(t, { database, env: withFile })
  const { secret } = (await put(first, 'q', { url: hook.url })).body
  const rows = JSON.stringify([
    (await sql.query('select * from holdfast.pushes')).rows,
    (await sql.query('select * from holdfast.push_secret')).rows
  ])
  t.notMatch(rows, secret.slice('whsec_'.length))
  t.match(rows, /,\[\]\]$/)
  await first.stop()
  const second = await service(t, { database, env: withFile })
  await fill(second, 'q', 1)
  t.equal(verify(secret, (await hook.got(1))[0]!), 0)
  await second.stop()
  const other = await freshDatabase(t)
  const third = await service(t, { database: other, env })
  const kept = (await put(third, 'q', { url: hook.url })).body.secret
  await third.stop()
  const fourth = await service(t, { database: other, env })
  await fill(fourth, 'q', 1)
  t.equal(verify(kept, (await hook.got(2))[1]!), 0, 'without a file the database keeps the secret')
})

t.test('a queue made again under the name has no push', async t => {
  const holdfast = await service(t, { env })
  const hook = await endpoint(t)
  await put(holdfast, 'q', { url: hook.url })
  await fill(holdfast, 'q', 1)
  await hook.got(1)
  await holdfast.call('DELETE', '/queues/q')
  await fill(holdfast, 'q', 3)
  const { messages } = (await holdfast.post('/queues/q/lease', { max: 10 })).body
  t.equal(messages.length, 3)
  t.equal(hook.received.length, 1)
})

t.test('push takes the right manage on the queue', async t => {
  const { holdfast, admin } = await guarded(t, env)
  const hook = await endpoint(t)
  await admin.call('PUT', '/queues/q')
  const worker = await clientWith(holdfast, admin, ['lease:q', 'browse:q', 'enqueue:q'])
  const stranger = await clientWith(holdfast, admin, ['manage:other'])
  const calls = [
    ['PUT', '', { url: hook.url }],
    ['GET', '', undefined],
    ['POST', '/test', undefined],
    ['POST', '/rotate', undefined],
    ['DELETE', '', undefined]
  ] as const
  for (const [method, path, body] of calls) {
    t.equal((await worker.call(method, `/queues/q/push${path}`, body)).status, 403, `${method} ${path}`)
    t.equal((await stranger.call(method, `/queues/q/push${path}`, body)).status, 404)
  }
  const owner = await clientWith(holdfast, admin, ['manage:q'])
  t.equal((await put(owner, 'q', { url: hook.url })).status, 201)
  await admin.post('/queues/q/messages', { body: 1 })
  await hook.got(1)
})
