/**
 * holdfast.enqueue and holdfast.ack in an application's own transaction: they follow the rules of
 * the calls over HTTP.
 */
import pg from 'pg'
import t, { type Test } from 'tap'
import { resultBytesMax } from '../../src/core/limits.ts'
import { service, type Client } from '../support/service.ts'

async function application(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  await client.connect()
  t.teardown(() => client.end())
  return client
}

async function leaseOne(holdfast: Client, waitSeconds = 0) {
  const { body } = await holdfast.post('/queues/tasks/lease', { waitSeconds })
  return body.messages[0]
}

const sqlState = async (query: Promise<unknown>) =>
  await query.then(
    () => 'no error',
    error => error.code
  )

t.test('in SQL', async t => {
  const holdfast = await service(t)
  const app = await application(t, holdfast.databaseUrl)
  await app.query('create table effects (id text)')
  await holdfast.call('PUT', '/queues/tasks')

  t.test(
    'an enqueue exists when its transaction commits, body as it was written, and wakes who waits',
    async t => {
      await app.query('begin')
      const {
        rows: [{ enqueue: id }]
      } = await app.query('select holdfast.enqueue(\'tasks\', \'{"n":12345678901234567890,  "a":1, "a":2}\')')
      t.equal(await leaseOne(holdfast), undefined, 'not before the commit')
      const waiting = holdfast.post('/queues/tasks/lease', { waitSeconds: 20 })
      const startedMs = performance.now()
      await app.query('commit')
      const {
        text,
        body: {
          messages: [message]
        }
      } = await waiting
      t.equal(message.id, id)
      t.ok(text.includes('"body":{"n":12345678901234567890,  "a":1, "a":2},'))
      t.ok(performance.now() - startedMs < 3000, 'woken by the commit, not by the end of its wait')
      await holdfast.post('/queues/tasks/ack', { receipt: message.receipt })
    }
  )

  t.test('an enqueue that is rolled back never was', async t => {
    await app.query('begin')
    await app.query("select holdfast.enqueue('tasks', '1')")
    await app.query('rollback')
    t.equal(await leaseOne(holdfast), undefined)
  })

  t.test('an idempotency key means the same in SQL and over HTTP', async t => {
    const options = {
      headers: { b: '2', a: '1' },
      priority: 7,
      delaySeconds: 0.25,
      maxAttempts: 3,
      idempotencyKey: 'both doors'
    }
    const {
      rows: [{ enqueue: id }]
    } = await app
      .query(
        "set timezone = 'Asia/Tokyo'; set extra_float_digits = -3; select holdfast.enqueue('tasks', " +
          "'{\"a\": 1}', '" +
          JSON.stringify(options) +
          "')"
      )
      .then(all => (all as unknown as pg.QueryResult[])[2]!)
    t.match(
      await holdfast.post('/queues/tasks/messages', '{"body":{"a": 1},' + JSON.stringify(options).slice(1)),
      { status: 200, body: { id, duplicate: true } }
    )
    t.match((await holdfast.post('/queues/tasks/messages', { body: { a: 2 }, ...options })).status, 422)
    t.equal(await sqlState(app.query("select holdfast.enqueue('tasks', '2', $1)", [options])), 'HF005')
    const message = await leaseOne(holdfast, 5)
    t.match(message, { id, priority: 7, maxAttempts: 3, headers: options.headers })
    await holdfast.post('/queues/tasks/ack', { receipt: message.receipt })

    const defaults = { headers: {}, priority: 4, delaySeconds: 0 }
    const { body } = await holdfast.post('/queues/tasks/messages', { body: 1, idempotencyKey: 'plain' })
    const { rows } = await app.query("select holdfast.enqueue('tasks', '1', $1)", [
      { ...defaults, idempotencyKey: 'plain' }
    ])
    t.equal(rows[0].enqueue, body.id, 'an option that says the default is no option, in both')
    const [plain] = (await holdfast.post('/queues/tasks/lease')).body.messages
    await holdfast.post('/queues/tasks/ack', { receipt: plain.receipt })
  })

  t.test('what the call refuses, the function refuses', async t => {
    for (const options of [
      { priority: 10 },
      { priority: '4' },
      { delaySeconds: -1 },
      { delaySeconds: 1, visibleAt: '2026-01-01T00:00:00Z' },
      { visibleAt: 'soon' },
      { ttlSeconds: 0 },
      { maxAttempts: 1.5 },
      { idempotencyKey: '' },
      { headers: { a: 1 } },
      { colour: 'red' }
    ]) {
      t.equal(
        await sqlState(app.query("select holdfast.enqueue('tasks', '1', $1)", [options])),
        'HF004',
        JSON.stringify(options)
      )
      t.equal(
        (await holdfast.post('/queues/tasks/messages', { body: 1, ...options })).status,
        400,
        JSON.stringify(options)
      )
    }
    t.equal(await sqlState(app.query("select holdfast.enqueue('../etc', '1')")), 'HF004')
    t.equal(
      await sqlState(app.query("select holdfast.enqueue('tasks', to_json(repeat('x', 1048577)))")),
      'HF004'
    )
    await holdfast.call('PUT', '/queues/small', { maxDepth: 1 })
    await app.query("select holdfast.enqueue('small', '1')")
    t.equal(await sqlState(app.query("select holdfast.enqueue('small', '2')")), 'HF006')
  })

  t.test("an ack and the worker's own write are committed together or not at all", async t => {
    await holdfast.post('/queues/tasks/messages', { body: 'effect' })
    const message = await leaseOne(holdfast)
    await app.query('begin')
    await app.query("insert into effects values ('undone')")
    await app.query('select holdfast.ack($1)', [message.receipt])
    await app.query('rollback')
    t.equal(
      (await holdfast.get(`/queues/tasks/messages/${message.id}`)).body.state,
      'leased',
      'as if nothing had happened'
    )
    await app.query('begin')
    await app.query("insert into effects values ('done')")
    await app.query('select holdfast.ack($1)', [message.receipt])
    await app.query('commit')
    t.equal((await holdfast.get(`/queues/tasks/messages/${message.id}`)).status, 404)
    t.strictSame((await app.query('select id from effects')).rows, [{ id: 'done' }])
  })

  t.test(
    'a late worker cannot commit: its ack raises leaseLost while another holds the message, and gone after',
    async t => {
      await holdfast.post('/queues/tasks/messages', { body: 'contended' })
      const late = await leaseOne(holdfast)
      await holdfast.post('/queues/tasks/release', { receipt: late.receipt })
      const holder = await leaseOne(holdfast)
      t.equal(holder.id, late.id)
      t.ok(holder.fence > late.fence)
      t.equal(await sqlState(app.query('select holdfast.ack($1)', [late.receipt])), 'HF001')
      await app.query('select holdfast.ack($1)', [holder.receipt])
      t.equal(await sqlState(app.query('select holdfast.ack($1)', [late.receipt])), 'HF002')
      t.equal(
        await sqlState(app.query('select holdfast.ack($1)', [holder.receipt])),
        'HF002',
        'its own second one too: it removes nothing itself'
      )
      const damaged = holder.receipt.replace(/.$/, (last: string) => (last === '0' ? '1' : '0'))
      for (const receipt of ['', 'x', damaged, null]) {
        t.equal(await sqlState(app.query('select holdfast.ack($1)', [receipt])), 'HF003', String(receipt))
      }
    }
  )

  t.test('an ack keeps the message where the queue asks for it, and the counts stay right', async t => {
    await holdfast.call('PUT', '/queues/tasks', { keepAckedSeconds: 60 })
    await app.query("select holdfast.enqueue('tasks', '\"kept\"')")
    const message = await leaseOne(holdfast)
    await app.query('select holdfast.ack($1)', [message.receipt])
    t.match((await holdfast.get(`/queues/tasks/messages/${message.id}`)).body, {
      state: 'acked',
      body: 'kept',
      attempt: 1
    })
    t.match((await holdfast.get('/queues/tasks')).body.counts, {
      ready: 0,
      delayed: 0,
      leased: 0,
      dead: 0,
      acked: 1
    })
  })

  t.test('an ack keeps its result as it was written, of at most 64 KiB', async t => {
    await app.query("select holdfast.enqueue('tasks', '1')")
    const { id, receipt } = await leaseOne(holdfast)
    const ack = (result: string) => app.query('select holdfast.ack($1, $2)', [receipt, result])
    t.equal(await sqlState(ack(`"${'x'.repeat(resultBytesMax - 1)}"`)), 'HF004')
    await ack('{"n": 1.0,  "a":1, "a":2}')
    const { text } = await holdfast.get(`/queues/tasks/messages/${id}`)
    t.ok(text.includes('"result":{"n": 1.0,  "a":1, "a":2},'), text)
  })
})
