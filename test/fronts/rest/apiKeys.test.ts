/** API keys: who is let in, to what, how fast, and how soon no longer. */
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import t from 'tap'
import { pollPause } from '../../support/pollPause.ts'
import { clientWith, guarded, until, withKey } from '../../support/apiKeys.ts'
import { connect, freshDatabase } from '../../support/postgres.ts'
import { service, type Answer, type Client } from '../../support/service.ts'

/** What a caller sees, except what differs with every request: its id, the date, the length. */
const seen = ({ status, headers, text }: Answer) => ({
  status,
  text: text.replace(/"requestId":"[^"]*"/, ''),
  headers: [...headers].filter(([name]) => !['date', 'content-length'].includes(name))
})

t.test('every route but the probes asks for a key', async t => {
  const { holdfast } = await guarded(t)
  const { paths } = JSON.parse(await readFile('openapi/openapi.json', 'utf8'))
  const open: string[] = []
  for (const [path, operations] of Object.entries<object>(paths)) {
    for (const method of Object.keys(operations)) {
      const answer = await holdfast.call(
        method.toUpperCase(),
        path.replace('{queue}', 'q').replace('{id}', '1')
      )
      if (answer.status !== 401) open.push(`${method} ${path}: ${answer.status}`)
      else t.match(answer, { body: { code: 'unauthorized' }, headers: { get: Function } })
    }
  }
  t.strictSame(open, ['get /livez: 200', 'get /readyz: 200'])
  for (const path of [
    '/docs',
    '/docs/json',
    '/docs/static/index.html',
    '/openapi.json',
    '/nowhere',
    '/queues/q/nowhere'
  ]) {
    const { status, text } = await holdfast.get(path)
    t.equal(status, 401, path)
    t.equal(text.includes('HOLDFAST_OPEN=docs'), /docs|openapi/.test(path), 'pages say how to open them')
  }
  t.equal(
    (await holdfast.call('PATCH', '/queues/q')).status,
    401,
    'before the answer names the methods of the route'
  )
  t.equal((await holdfast.get('/queues')).headers.get('www-authenticate'), 'Bearer realm="holdfast"')
})

t.test('anything but a good key is refused', async t => {
  const { holdfast, admin } = await guarded(t)
  const { secret } = await clientWith(holdfast, admin, ['admin'])
  const wrong = [
    '',
    'Bearer',
    'Bearer ',
    `Basic ${secret}`,
    secret,
    `Bearer ${secret}x`,
    `Bearer ${secret.slice(0, -1)}`,
    `Bearer ${secret.slice(0, -1)}${secret.endsWith('A') ? 'B' : 'A'}`,
    `Bearer ${secret.toUpperCase()}`,
    `Bearer ${secret} ${secret}`,
    `Bearer ${'x'.repeat(8000)}`,
    'Bearer hf_0000000000_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'
  ]
  for (const authorization of wrong) {
    t.equal(
      (await holdfast.call('GET', '/queues', undefined, { authorization })).status,
      401,
      authorization.slice(0, 60)
    )
  }
  t.equal((await holdfast.get(`/queues?key=${secret}`)).status, 401, 'not in a URL')
  t.equal(
    (await holdfast.call('GET', '/queues', undefined, { authorization: `bearer ${secret}` })).status,
    200,
    'the scheme in any case'
  )
})

t.test('a key does what its rights say, on the queues they name, and no more', async t => {
  const { holdfast, admin } = await guarded(t)
  for (const queue of ['mail', 'mail-replies', 'orders']) {
    await admin.post(`/queues/${queue}/messages`, { body: queue })
  }
  const worker = await clientWith(holdfast, admin, [
    'lease:mail',
    'enqueue:mail-*',
    'browse:mail-*',
    'manage:mine'
  ])
  const leased = await worker.post('/queues/mail/lease')
  t.equal(leased.status, 200)
  t.match(await worker.post('/queues/mail/ack', { receipt: leased.body.messages[0].receipt }), {
    status: 200,
    body: { outcome: 'acked' }
  })
  t.equal((await worker.post('/queues/mail-replies/messages', { body: 1 })).status, 201)
  t.equal(
    (await worker.post('/queues/mail-new/messages', { body: 1 })).status,
    201,
    'an enqueue makes the queue'
  )
  t.equal((await worker.call('PUT', '/queues/mine')).status, 201)

  const seenQueues: [string, string, object?][] = [
    ['POST', '/queues/mail/messages', { body: 1 }],
    ['GET', '/queues/mail'],
    ['POST', '/queues/mail/purge'],
    ['DELETE', '/queues/mail'],
    ['POST', '/queues/mail-replies/lease'],
    ['POST', '/queues/mail-replies/ack', { receipt: 'x' }],
    ['GET', '/queues/mine'],
    ['GET', '/keys'],
    ['POST', '/keys', { name: 'x', rights: ['admin'] }],
    ['DELETE', '/keys/x'],
    ['GET', '/metrics']
  ]
  for (const [method, path, body] of seenQueues) {
    t.match(
      await worker.call(method, path, body),
      { status: 403, body: { code: 'forbidden' } },
      `${method} ${path}`
    )
  }

  const unseenQueues: [string, string, object?][] = [
    ['POST', '/queues/QUEUE/messages', { body: 1 }],
    ['POST', '/queues/QUEUE/lease'],
    ['POST', '/queues/QUEUE/ack', { receipt: 'x' }],
    ['GET', '/queues/QUEUE'],
    ['PUT', '/queues/QUEUE', { paused: true }],
    ['DELETE', '/queues/QUEUE'],
    ['POST', '/queues/QUEUE/purge'],
    ['GET', '/queues/QUEUE/messages'],
    ['GET', '/queues/QUEUE/messages/1'],
    ['DELETE', '/queues/QUEUE/messages/1'],
    ['POST', '/queues/QUEUE/redrive'],
    ['POST', '/queues/QUEUE/retry', { dryRun: true }],
    ['POST', '/queues/QUEUE/purge', { where: { contains: 'x' }, dryRun: true }],
    ['GET', '/queues/QUEUE/messages?contains=x'],
    ['GET', '/queues/QUEUE/series'],
    ['GET', '/queues/QUEUE/messages/1/explain'],
    ['GET', '/console/live/QUEUE'],
    ['PUT', '/schedules/QUEUE', { paused: true }],
    ['GET', '/schedules/QUEUE'],
    ['POST', '/schedules/QUEUE/run'],
    ['DELETE', '/schedules/QUEUE'],
    ['PUT', '/schedules/mine', { queue: 'QUEUE', cron: '* * * * *', body: 1 }]
  ]
  await admin.call('PUT', '/schedules/orders', { queue: 'orders', cron: '0 0 1 1 *', body: 1 })
  for (const [method, path, body] of unseenQueues) {
    const ask = async (name: string) =>
      seen(
        await worker.call(
          method,
          path.replace('QUEUE', name),
          body && JSON.stringify(body).replace('QUEUE', name)
        )
      )
    const existing = await ask('orders')
    const missing = await ask('ordera')
    t.strictSame(
      { ...existing, text: existing.text.replaceAll('orders', 'ordera') },
      missing,
      `${method} ${path}: the same, whether the queue exists or not`
    )
    t.equal(existing.status, 404)
  }
  t.strictSame(seen(await worker.get('/queues/orders')), seen(await worker.get('/queues/orders')))
  t.match(
    (await worker.get('/queues/orders')).body.detail,
    /^There is no queue orders, or this key has no right to it;.* the right browse:orders \(PUT \/keys\//,
    'it names both causes, and the right that is missing'
  )
  t.match(
    (await admin.get('/queues/orders')).body,
    { settings: { paused: false }, counts: { ready: 1 } },
    'nothing was changed'
  )

  const names = ({ body }: Answer) => body.queues.map(({ queue }: { queue: string }) => queue)
  t.strictSame(names(await worker.get('/queues')), ['mail-new', 'mail-replies'])
  t.strictSame(names(await admin.get('/queues')), ['mail', 'mail-new', 'mail-replies', 'mine', 'orders'])
  const page = await worker.get('/queues?limit=1')
  t.strictSame(
    names(await worker.get(`/queues?limit=1&cursor=${page.body.cursor}`)),
    ['mail-replies'],
    'pages hold only what the key may see'
  )
  t.equal((await (await clientWith(holdfast, admin, ['browse:*'])).get('/metrics')).status, 200)
})

t.test('a key is good on every replica at once, and refused within 5 s of its end', async t => {
  const database = await freshDatabase(t)
  const replicaA = await service(t, { database })
  t.equal((await replicaA.get('/queues')).status, 200, 'without any key nobody has to show one')
  const { secret, id } = (await replicaA.post('/keys', { name: 'first', rights: ['admin'] })).body
  const replicaB = await service(t, { database })
  t.ok((await until(401, () => replicaA.get('/queues'))) < 5000, 'with the first key everybody has to')
  t.equal((await replicaB.get('/queues')).status, 401)
  for (const replica of [replicaA, replicaB]) {
    t.equal((await withKey(replica, secret).get('/queues')).status, 200)
  }

  const client = new pg.Client(database.url)
  await client.connect()
  t.teardown(() => client.end())
  const { rows } = await client.query('select k::text as text from holdfast.keys k')
  t.notOk(
    rows.some(({ text }) => text.includes(secret) || text.includes(secret.slice(14))),
    'the key itself is stored nowhere'
  )
  t.notMatch((await withKey(replicaA, secret).get('/keys')).text, /secret|digest/)

  t.equal((await withKey(replicaA, secret).call('DELETE', `/keys/${id}`)).status, 204)
  for (const replica of [replicaA, replicaB]) {
    t.ok((await until(401, () => withKey(replica, secret).get('/queues'))) < 5000)
  }
  t.equal((await replicaA.get('/queues')).status, 401, 'without its last key the service stays closed')
})

t.test('the first key is an admin key, and only one of two callers makes it', async t => {
  const database = await freshDatabase(t)
  const replicas = [await service(t, { database }), await service(t, { database })]
  const make = (replica: Client, ...rights: string[]) => replica.post('/keys', { name: 'first', rights })
  t.match(await make(replicas[0]!, 'lease:*', 'manage:*'), { status: 409, body: { code: 'adminKeyFirst' } })
  const answers = await Promise.all(
    [...replicas, ...replicas].flatMap(replica => [make(replica, 'browse:*'), make(replica, 'admin')])
  )
  const statuses = answers.map(({ status }) => status)
  t.equal(statuses.filter(status => status === 201).length, 1, `${statuses}`)
  t.ok(answers.every(({ status }) => [201, 401, 409].includes(status)))
  const { secret, id, rights } = answers.find(({ status }) => status === 201)!.body
  t.strictSame(rights, ['admin'])
  for (const replica of replicas) {
    await until(401, () => replica.get('/keys'))
    const { keys } = (await withKey(replica, secret).get('/keys')).body
    t.strictSame(
      keys.map((key: { id: string }) => key.id),
      [id]
    )
  }
  t.equal((await make(withKey(replicas[1]!, secret), 'browse:*')).status, 201)
})

t.test('the only admin key stays one', async t => {
  const holdfast = await service(t)
  const made = (await holdfast.post('/keys', { name: 'ops', rights: ['admin'] })).body
  const admin = withKey(holdfast, made.secret)
  const other = (await admin.post('/keys', { name: 'other', rights: ['browse:*'] })).body
  const change = (id: string, ...rights: string[]) => admin.call('PUT', `/keys/${id}`, { rights })
  t.match(await change(made.id, 'browse:*'), { status: 409, body: { code: 'adminKeyFirst' } })
  t.equal((await admin.get('/keys')).status, 200, 'nothing was changed')
  t.equal((await change(other.id, 'admin')).status, 200)
  const both = await Promise.all([change(made.id, 'browse:*'), change(other.id, 'browse:*')])
  const statuses = both.map(({ status }) => status)
  t.equal(statuses.filter(status => status === 200).length, 1, `of two at once, one is left: ${statuses}`)
  for (const method of ['PUT', 'DELETE']) {
    const body = method === 'PUT' ? { rights: ['admin'] } : undefined
    const callers = [admin, withKey(holdfast, other.secret)]
    const answers = await Promise.all(callers.map(caller => caller.call(method, '/keys/%00', body)))
    t.same(answers.map(({ status }) => status).sort(), [400, 403], 'no id holds NUL')
  }
})

t.test('the replica that makes or revokes a key knows it at once', async t => {
  const holdfast = await service(t)
  const { secret } = (await holdfast.post('/keys', { name: 'ops', rights: ['admin'] })).body
  t.equal((await holdfast.get('/queues')).status, 401)
  const admin = withKey(holdfast, secret)
  const other = (await admin.post('/keys', { name: 'other', rights: ['browse:*'] })).body
  t.equal((await withKey(holdfast, other.secret).get('/queues')).status, 200)
  await admin.call('DELETE', `/keys/${other.id}`)
  t.equal((await withKey(holdfast, other.secret).get('/queues')).status, 401)
})

t.test('an admin key in a file counts as the first key; HOLDFAST_AUTH=off does not', async t => {
  const { admin } = await guarded(t)
  t.equal((await admin.post('/keys', { name: 'x', rights: ['browse:*'] })).status, 201)
  const open = await service(t, { env: { HOLDFAST_AUTH: 'off' } })
  t.equal((await open.post('/keys', { name: 'x', rights: ['browse:*'] })).status, 409)
  for (const right of ['admin', 'browse:*']) {
    t.equal((await open.post('/keys', { name: 'x', rights: [right] })).status, 201, right)
  }
})

t.test('the name of a key shows all that it holds', async t => {
  const { admin } = await guarded(t)
  const make = (name: string) => admin.post('/keys', { name, rights: ['browse:*'] })
  for (const name of ['worker', 'Größe 2 · 数', 'عربى', '👩', 'x'.repeat(128), '👩'.repeat(128)]) {
    t.equal((await make(name)).status, 201, name)
  }
  const hidden =
    '\x00 \n \x1b \x7f \x85 \xad \u061c \u200b \u200d \u200e \u200f ' +
    '\u2028 \u2029 \u202a \u202e \u2060 \u2066'
  for (const character of [...hidden.split(' '), '\u2069', '\ufeff', '\ufff9', '\u{e0041}', '\ud800']) {
    t.match(
      await make(`ops${character}`),
      { status: 400, body: { errors: [{ pointer: '/name' }] } },
      `U+${character.codePointAt(0)!.toString(16)}`
    )
  }
  t.equal((await make('x'.repeat(129))).status, 400)
})

t.test('a waiting call is refused when its key ends, and takes no message with it', async t => {
  const { holdfast, admin } = await guarded(t)
  await admin.call('PUT', '/queues/q', { keepAckedSeconds: 60 })
  const { id } = (await admin.post('/queues/q/messages', { body: 1 })).body
  const worker = await clientWith(holdfast, admin, ['lease:q', 'browse:q'])
  const [message] = (await worker.post('/queues/q/lease', { leaseSeconds: 600 })).body.messages
  const waiting = [
    worker.post('/queues/q/lease', { waitSeconds: 60 }),
    worker.get(`/queues/q/messages/${id}?waitSeconds=60`)
  ]
  while (!(await admin.get('/metrics')).text.includes('holdfast_waiting_calls 2\n')) await pollPause()
  await admin.call('DELETE', `/keys/${worker.id}`)
  for (const answer of await Promise.all(waiting)) {
    t.match(answer, { status: 401, body: { code: 'unauthorized' } })
  }
  await admin.post('/queues/q/messages', { body: 2 })
  t.match((await admin.get('/queues/q')).body.counts, { ready: 1, leased: 1 })
  t.match(
    await admin.post('/queues/q/ack', { receipt: message.receipt }),
    { status: 200 },
    'another key may settle its message'
  )
})

t.test('a key gets other rights and stays the same key; what waits under it ends empty', async t => {
  const { holdfast, admin } = await guarded(t)
  await admin.call('PUT', '/queues/q', {})
  const worker = await clientWith(holdfast, admin, ['lease:q'], { messagesPerSecond: 500 })
  const waiting = worker.post('/queues/q/lease', { waitSeconds: 60 })
  while (!(await admin.get('/metrics')).text.includes('holdfast_waiting_calls 1\n')) await pollPause()
  const change = { rights: ['enqueue:q'], requestsPerSecond: 1000 }
  t.match(await admin.call('PUT', `/keys/${worker.id}`, change), {
    status: 200,
    body: { id: worker.id, name: 'test', ...change, messagesPerSecond: 500, secret: undefined }
  })
  t.match(await waiting, { status: 200, body: { messages: [] } })
  t.match((await admin.get('/keys')).body.keys, [{ id: worker.id, ...change, messagesPerSecond: 500 }])
  await until(403, () => worker.post('/queues/q/lease', {}))
  await until(201, () => worker.post('/queues/q/messages', { body: 1 }))
  t.match((await admin.call('PUT', `/keys/${worker.id}`, { requestsPerSecond: null })).body, {
    rights: ['enqueue:q'],
    requestsPerSecond: null
  })
  t.match(await admin.call('PUT', `/keys/${worker.id}`, { name: 'other' }), { status: 400 })
  t.match(await admin.call('PUT', '/keys/0000000000', change), { status: 404, body: { code: 'keyNotFound' } })
  t.match(await worker.call('PUT', `/keys/${worker.id}`, { rights: ['admin'] }), { status: 403 })
})

t.test('rates are kept, and never keep a consumer from settling', async t => {
  const { holdfast, admin } = await guarded(t)
  await admin.post('/queues/q/messages', { messages: Array.from({ length: 600 }, (_, body) => ({ body })) })
  const slow = await clientWith(holdfast, admin, ['lease:q'], { requestsPerSecond: 0.01 })
  await slow.post('/queues/q/lease')
  const refused = await slow.post('/queues/q/lease')
  t.match(refused, { status: 429, body: { code: 'rateLimited' } })
  t.ok(Number(refused.headers.get('retry-after')) > 50)
  const { receipt } = (await admin.post('/queues/q/lease')).body.messages[0]
  t.match(await slow.post('/queues/q/extend', { receipt, leaseSeconds: 60 }), { status: 200 })
  t.match(await slow.post('/queues/q/ack', { receipt }), { status: 200, body: { outcome: 'acked' } })

  const narrow = await clientWith(holdfast, admin, ['lease:q', 'enqueue:q'], { messagesPerSecond: 10 })
  const first = await narrow.post('/queues/q/lease', { max: 500 })
  t.equal(first.body.messages.length, 500, 'a call that has begun is finished')
  t.match(await narrow.post('/queues/q/lease'), { status: 429, body: { code: 'rateLimited' } })
  const enqueue = await narrow.post('/queues/q/messages', { body: 1 })
  t.match(enqueue, { status: 429, body: { code: 'rateLimited' } })
  t.ok(Math.abs(Number(enqueue.headers.get('retry-after')) - 49) <= 2, 'the wait pays back what was taken')
  const both = await narrow.post('/queues/q/lease', {
    ack: first.body.messages.map(({ receipt }: { receipt: string }) => receipt),
    waitSeconds: 60
  })
  t.equal(both.status, 200)
  t.strictSame(
    [both.body.messages, new Set(both.body.outcomes.map(({ outcome }: { outcome: string }) => outcome))],
    [[], new Set(['acked'])],
    'the acks of a lease go on, at once'
  )
})

t.test('a key sees and changes the schedules of its queues, and no others exist for it', async t => {
  const { holdfast, admin } = await guarded(t)
  const schedule = { queue: 'mail', cron: '@daily', body: 1 }
  t.equal((await admin.call('PUT', '/schedules/nightly', schedule)).status, 201)
  t.equal((await admin.call('PUT', '/schedules/other', { ...schedule, queue: 'other' })).status, 201)
  const [manager, viewer, worker, stranger] = await Promise.all(
    [['manage:mail', 'browse:mail'], ['browse:mail'], ['lease:mail'], ['manage:else*']].map(rights =>
      clientWith(holdfast, admin, rights)
    )
  )
  const statuses = async (key: Client, name: string) => [
    (await key.get(`/schedules/${name}`)).status,
    (await key.call('PUT', `/schedules/${name}`, { priority: 5 })).status,
    (await key.post(`/schedules/${name}/run`)).status
  ]
  t.strictSame(await statuses(manager!, 'nightly'), [200, 200, 201])
  t.strictSame(await statuses(viewer!, 'nightly'), [200, 403, 403])
  t.strictSame(await statuses(worker!, 'nightly'), [403, 403, 403])
  t.strictSame(await statuses(stranger!, 'nightly'), [404, 404, 404])
  t.equal((await stranger!.call('DELETE', '/schedules/nightly')).status, 404)
  t.equal((await viewer!.call('DELETE', '/schedules/nightly')).status, 403)
  for (const [method, path, body] of [
    ['GET', ''],
    ['PUT', '', { paused: true }],
    ['DELETE', ''],
    ['POST', '/run']
  ] as const) {
    const told = async (name: string) =>
      (({ text, ...rest }) => ({ ...rest, text: text.replaceAll(name, 'NAME') }))(
        seen(await stranger!.call(method, `/schedules/${name}${path}`, body))
      )
    t.strictSame(
      await told('nightly'),
      await told('unheard'),
      `${method} ${path}: the same, whether the schedule exists or not`
    )
  }
  t.equal(
    (await stranger!.call('PUT', '/schedules/nightly', { ...schedule, queue: 'elsewhere' })).status,
    403,
    'it cannot be taken over'
  )
  t.equal(
    (await manager!.call('PUT', '/schedules/nightly', { queue: 'other' })).status,
    404,
    'it cannot be moved to a queue that the key does not see'
  )
  t.strictSame(
    (await viewer!.get('/schedules')).body.schedules.map(({ name }: { name: string }) => name),
    ['nightly']
  )
  t.strictSame((await stranger!.get('/schedules')).body.schedules, [])
  t.equal((await manager!.call('DELETE', '/schedules/nightly')).status, 204)
})

t.test('calls that make keys leave connections to those who send messages', async t => {
  const { holdfast, admin } = await guarded(t)
  await admin.call('PUT', '/queues/mail', {})
  const sender = await clientWith(holdfast, admin, ['enqueue:mail'])
  const blocker = await connect(t, holdfast.databaseUrl)
  await blocker.query('begin; lock table holdfast.keys in exclusive mode')
  const making = Array.from({ length: 40 }, (_, n) =>
    admin.post('/keys', { name: `key ${n}`, rights: ['browse:*'] })
  )
  const waiting = `
    select count(*)::int as count
    from pg_stat_activity
    where datname = current_database() and wait_event_type = 'Lock'`
  while ((await blocker.query(waiting)).rows[0].count < 2) await pollPause()
  t.equal((await sender.post('/queues/mail/messages', { body: 1 })).status, 201)
  await blocker.query('commit')
  const statuses = (await Promise.all(making)).map(({ status }) => status)
  t.ok(statuses.includes(201))
  t.strictSame(
    [...new Set(statuses)].filter(status => ![201, 503].includes(status)),
    []
  )
})
