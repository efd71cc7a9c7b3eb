/** API keys: who is let in, to what, how fast, and how soon no longer. */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import t, { type Test } from 'tap'
import { ApiKeyRing } from '../../../src/core/apiKey.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { client, service, type Answer, type Client } from '../../support/service.ts'

const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })

/** The same calls with a key. */
function as(holdfast: Client, secret: string): Client {
  const call: Client['call'] = (method, path, body, headers) =>
    holdfast.call(method, path, body, { ...bearer(secret), ...headers })
  return {
    url: holdfast.url,
    call,
    post: (path, body, headers) => call('POST', path, body, headers),
    get: path => call('GET', path)
  }
}

/** An admin key in a file, and a service that knows it. */
async function guarded(t: Test, env: Record<string, string> = {}, database?: { url: string }) {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-keys-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const secret = 'an-admin-key-of-the-tests-0123456789'
  await writeFile(join(folder, 'key'), `${secret}\n`)
  const holdfast = await service(t, {
    ...(database && { database }),
    env: { HOLDFAST_ADMIN_KEY_FILE: join(folder, 'key'), ...env }
  })
  return { holdfast, admin: as(holdfast, secret) }
}

async function make(
  admin: Client,
  rights: string[],
  rates: object = {}
): Promise<{ id: string; secret: string }> {
  const { status, body } = await admin.post('/keys', { name: 'test', rights, ...rates })
  if (status !== 201) throw new Error(JSON.stringify(body))
  return body
}

/** Until the answer has this status; how long that took. */
async function until(status: number, ask: () => Promise<Answer>): Promise<number> {
  const startedMs = performance.now()
  while ((await ask()).status !== status) {
    if (performance.now() - startedMs > 20_000) throw new Error(`no ${status} within 20 s`)
  }
  return performance.now() - startedMs
}

/** A key that is good here by now. */
async function inUse(
  holdfast: Client,
  admin: Client,
  rights: string[],
  rates: object = {}
): Promise<Client & { id: string; secret: string }> {
  const { id, secret } = await make(admin, rights, rates)
  await until(404, () => holdfast.call('PATCH', '/nowhere', undefined, bearer(secret)))
  return { ...as(holdfast, secret), id, secret }
}

/** What a caller sees, less what is of the one request. */
const seen = ({ status, headers, text }: Answer) => ({
  status,
  text: text.replace(/"requestId":"[^"]*"/, ''),
  headers: [...headers].filter(([name]) => !['date', 'content-length'].includes(name)) // the length is that of the text, with the request's id
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
    t.equal((await holdfast.get(path)).status, 401, path)
  }
  t.equal(
    (await holdfast.call('PATCH', '/queues/q')).status,
    401,
    'before it is said which methods there are'
  )
  t.equal((await holdfast.get('/queues')).headers.get('www-authenticate'), 'Bearer realm="holdfast"')
})

t.test('what is not a good key is refused', async t => {
  const { holdfast, admin } = await guarded(t)
  const { secret } = await inUse(holdfast, admin, ['admin'])
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
  const worker = await inUse(holdfast, admin, [
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
    'a queue that was not there'
  )
  t.equal((await worker.call('PUT', '/queues/mine')).status, 201)

  const mine: [string, string, object?][] = [
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
  for (const [method, path, body] of mine) {
    t.match(
      await worker.call(method, path, body),
      { status: 403, body: { code: 'forbidden' } },
      `${method} ${path}`
    )
  }

  const others: [string, string, object?][] = [
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
  for (const [method, path, body] of others) {
    const ask = async (name: string) =>
      seen(
        await worker.call(
          method,
          path.replace('QUEUE', name),
          body && JSON.stringify(body).replace('QUEUE', name)
        )
      )
    const there = await ask('orders')
    const notThere = await ask('ordera')
    t.strictSame(
      { ...there, text: there.text.replaceAll('orders', 'ordera') },
      notThere,
      `${method} ${path}: the same, there or not`
    )
    t.equal(there.status, 404)
  }
  t.strictSame(seen(await worker.get('/queues/orders')), seen(await worker.get('/queues/orders')))
  t.equal(
    seen(await worker.get('/queues/orders')).text,
    seen(await admin.get('/queues/ordera')).text.replaceAll('ordera', 'orders'),
    'as who may see everything is told of one that is not there'
  )
  t.match(
    (await admin.get('/queues/orders')).body,
    { settings: { paused: false }, counts: { ready: 1 } },
    'nothing was changed'
  )

  const names = ({ body }: Answer) => body.queues.map((one: any) => one.queue)
  t.strictSame(names(await worker.get('/queues')), ['mail-new', 'mail-replies'])
  t.strictSame(names(await admin.get('/queues')), ['mail', 'mail-new', 'mail-replies', 'mine', 'orders'])
  const page = await worker.get('/queues?limit=1')
  t.strictSame(
    names(await worker.get(`/queues?limit=1&cursor=${page.body.cursor}`)),
    ['mail-replies'],
    'pages hold what may be seen'
  )
  t.equal((await (await inUse(holdfast, admin, ['browse:*'])).get('/metrics')).status, 200)
})

t.test(
  'a key is good on every replica at once and refused within five seconds of its end, and with the ' +
    'last one nothing opens',
  async t => {
    const database = await freshDatabase(t)
    const a = await service(t, { database })
    t.equal((await a.get('/queues')).status, 200, 'without any key nobody is asked')
    const { secret, id } = (await a.post('/keys', { name: 'first', rights: ['admin'] })).body
    const b = await service(t, { database })
    t.ok((await until(401, () => a.get('/queues'))) < 5000, 'from the first on, everybody')
    t.equal((await b.get('/queues')).status, 401)
    for (const replica of [a, b]) t.equal((await as(replica, secret).get('/queues')).status, 200)

    const client = new pg.Client(database.url)
    await client.connect()
    t.teardown(() => client.end())
    const { rows } = await client.query('select k::text as text from holdfast.keys k')
    t.notOk(
      rows.some(({ text }) => text.includes(secret) || text.includes(secret.slice(14))),
      'the key itself is stored nowhere'
    )
    t.notMatch((await as(a, secret).get('/keys')).text, /secret|digest/)

    t.equal((await as(a, secret).call('DELETE', `/keys/${id}`)).status, 204)
    for (const replica of [a, b]) t.ok((await until(401, () => as(replica, secret).get('/queues'))) < 5000)
    t.equal((await a.get('/queues')).status, 401)
  }
)

t.test('a call that waits learns of the end of its key, and takes nothing with it', async t => {
  const { holdfast, admin } = await guarded(t)
  await admin.call('PUT', '/queues/q', { keepAckedSeconds: 60 })
  const { id } = (await admin.post('/queues/q/messages', { body: 1 })).body
  const worker = await inUse(holdfast, admin, ['lease:q', 'browse:q'])
  const [message] = (await worker.post('/queues/q/lease', { leaseSeconds: 600 })).body.messages
  const waiting = [
    worker.post('/queues/q/lease', { waitSeconds: 60 }),
    worker.get(`/queues/q/messages/${id}?waitSeconds=60`)
  ]
  while (!(await admin.get('/metrics')).text.includes('holdfast_waiting_calls 2\n'));
  await admin.call('DELETE', `/keys/${worker.id}`)
  for (const answer of await Promise.all(waiting)) {
    t.match(answer, { status: 401, body: { code: 'unauthorized' } })
  }
  await admin.post('/queues/q/messages', { body: 2 })
  t.match((await admin.get('/queues/q')).body.counts, { ready: 1, leased: 1 })
  t.match(
    await admin.post('/queues/q/ack', { receipt: message.receipt }),
    { status: 200 },
    'what it held is settled by whoever may'
  )
})

t.test('keys that can no longer be checked are not trusted', async t => {
  let nowMs = 0
  const ring = new ApiKeyRing(null, () => nowMs)
  const { createHash } = await import('node:crypto')
  const secret = `hf_0123456789_${'a'.repeat(43)}`
  ring.replace([
    {
      id: '0123456789',
      name: '',
      digest: createHash('sha256').update(secret).digest(),
      rights: ['admin'],
      requestsPerSecond: null,
      messagesPerSecond: null,
      createdAt: ''
    }
  ])
  t.equal(ring.identify(secret)!.isAdmin, true)
  nowMs += 5000
  t.throws(() => ring.identify(secret), { code: 'databaseUnavailable', outcome: 'none' })
  ring.replace([])
  t.equal(ring.identify(secret), null)
  t.ok(ring.inForce)
})

t.test('who serves others asks for keys, or says out loud that it does not', async t => {
  const database = await freshDatabase(t)
  await t.rejects(
    service(t, { database, env: { HOLDFAST_HOST: '0.0.0.0' } }),
    /There is no API key yet.*HOLDFAST_AUTH=off/
  )
  const open = await service(t, { database, env: { HOLDFAST_HOST: '0.0.0.0', HOLDFAST_AUTH: 'off' } })
  t.equal((await client(open.url.replace('0.0.0.0', '127.0.0.1')).get('/queues')).status, 200)
  await open.post('/keys', { name: 'x', rights: ['browse:*'] })
  const { url } = await service(t, { database, env: { HOLDFAST_HOST: '0.0.0.0' } })
  t.equal((await client(url.replace('0.0.0.0', '127.0.0.1')).get('/queues')).status, 401)
  for (const [text, fault] of [
    ['short', /32 to 256/],
    [`${'x'.repeat(40)}\n${'y'.repeat(40)}`, /32 to 256/]
  ] as const) {
    const file = join(await mkdtemp(join(tmpdir(), 'holdfast-keys-')), 'key')
    await writeFile(file, text)
    await t.rejects(service(t, { database, env: { HOLDFAST_ADMIN_KEY_FILE: file } }), fault)
  }
  await t.rejects(
    service(t, { database, env: { HOLDFAST_ADMIN_KEY_FILE: '/nowhere' } }),
    /cannot be read \(ENOENT\)/
  )
})

t.test('while nobody is asked for a key, web pages of other sites are refused', async t => {
  const holdfast = await service(t)
  const { host } = new URL(holdfast.url)
  const asked = (headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      request(
        `${holdfast.url}/queues/q/messages`,
        { method: 'POST', headers: { 'content-type': 'text/plain', ...headers } },
        answer => {
          answer.resume()
          resolve(answer.statusCode!)
        }
      )
        .on('error', reject)
        .end('hello')
    })
  for (const headers of [
    {},
    { origin: `http://${host}` },
    { host: 'localhost' },
    { host: `queue.localhost:${host.split(':')[1]}` }
  ]) {
    t.equal(await asked(headers as {}), 201, JSON.stringify(headers))
  }
  for (const headers of [
    { origin: 'https://example.org' },
    { origin: 'null' },
    { origin: `https://${host}` },
    { host: 'example.org' },
    { host: 'example.org.:8080', origin: 'http://example.org.:8080' }
  ]) {
    t.equal(await asked(headers as {}), 403, JSON.stringify(headers))
  }
  t.equal((await holdfast.get('/queues/q')).body.counts.ready, 4)
})

t.test('Swagger UI, the document and the metrics can be open to all', async t => {
  const { holdfast } = await guarded(t, { HOLDFAST_OPEN: 'docs,metrics' })
  for (const path of ['/docs/static/index.html', '/docs/json', '/openapi.json', '/metrics']) {
    t.equal((await holdfast.get(path)).status, 200, path)
  }
  t.equal((await holdfast.get('/queues')).status, 401)
})

t.test('rates are kept, and nothing stands in the way of settling', async t => {
  const { holdfast, admin } = await guarded(t)
  await admin.post('/queues/q/messages', { messages: Array.from({ length: 600 }, (_, body) => ({ body })) })
  const slow = await inUse(holdfast, admin, ['lease:q'], { requestsPerSecond: 0.01 })
  await slow.post('/queues/q/lease')
  const refused = await slow.post('/queues/q/lease')
  t.match(refused, { status: 429, body: { code: 'rateLimited' } })
  t.ok(Number(refused.headers.get('retry-after')) > 50)
  const { receipt } = (await admin.post('/queues/q/lease')).body.messages[0]
  t.match(await slow.post('/queues/q/extend', { receipt, leaseSeconds: 60 }), { status: 200 })
  t.match(await slow.post('/queues/q/ack', { receipt }), { status: 200, body: { outcome: 'acked' } })

  const narrow = await inUse(holdfast, admin, ['lease:q', 'enqueue:q'], { messagesPerSecond: 10 })
  const first = await narrow.post('/queues/q/lease', { max: 500 })
  t.equal(first.body.messages.length, 500, 'what is begun is done')
  t.match(await narrow.post('/queues/q/lease'), { status: 429, body: { code: 'rateLimited' } })
  const enqueue = await narrow.post('/queues/q/messages', { body: 1 })
  t.match(enqueue, { status: 429, body: { code: 'rateLimited' } })
  t.ok(Math.abs(Number(enqueue.headers.get('retry-after')) - 49) <= 2, 'and is paid back by waiting')
  const both = await narrow.post('/queues/q/lease', {
    ack: first.body.messages.map((one: any) => one.receipt),
    waitSeconds: 60
  })
  t.equal(both.status, 200)
  t.strictSame(
    [both.body.messages, new Set(both.body.outcomes.map((one: any) => one.outcome))],
    [[], new Set(['acked'])],
    'the acks of a lease go on, at once'
  )
})

t.test('keys are made, shown and revoked on the command line, beside a running service', async t => {
  const { holdfast, admin } = await guarded(t)
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['bin/holdfast.mjs', 'keys', ...args], {
      env: { PATH: process.env.PATH, HOLDFAST_DATABASE_URL: holdfast.databaseUrl }
    })
  const { stdout } = await run(
    'create',
    'mail worker',
    '--allow',
    'lease:mail',
    '--allow',
    'browse:m*',
    '--messages-per-second',
    '50'
  )
  t.match(stdout, /^hf_[0-9a-f]{10}_[A-Za-z0-9_-]{43}\n$/, 'nothing but the key')
  await until(404, () => as(holdfast, stdout.trim()).get('/nowhere'))
  const {
    keys: [{ id, ...key }]
  } = (await admin.get('/keys')).body
  t.match(key, {
    name: 'mail worker',
    rights: ['lease:mail', 'browse:m*'],
    messagesPerSecond: 50,
    requestsPerSecond: null
  })
  t.match((await run('list')).stdout, new RegExp(`${id}  mail worker  lease:mail browse:m\\*`))
  await run('revoke', id)
  t.equal((await admin.get('/keys')).body.keys.length, 0)
  const wrong: [string[], number, string][] = [
    [['revoke', id], 1, 'There is no key'],
    [['create', 'x', '--allow', 'steal:*'], 2, 'is not a right'],
    [['create', 'x', '--allow', 'admin', '--requests-per-second', '0'], 2, '--requests-per-second must be'],
    [['burn'], 2, 'holdfast keys create NAME'],
    [['create', 'mail', 'worker'], 2, 'in quotes']
  ]
  await Promise.all(
    wrong.map(([args, code, word]) =>
      t.rejects(run(...args), { code, stderr: new RegExp(word) }, args.join(' '))
    )
  )
  t.match(await admin.post('/keys', { name: 'x', rights: ['lease:mail', 'lease:'] }), {
    status: 400,
    body: { errors: [{ pointer: '/rights/1' }] }
  })
})

t.test(
  'schedules: manage on their queue changes them, browse looks, and to other keys they are not there',
  async t => {
    const { holdfast, admin } = await guarded(t)
    const schedule = { queue: 'mail', cron: '@daily', body: 1 }
    t.equal((await admin.call('PUT', '/schedules/nightly', schedule)).status, 201)
    t.equal((await admin.call('PUT', '/schedules/other', { ...schedule, queue: 'other' })).status, 201)
    const [manager, viewer, worker, stranger] = await Promise.all(
      [['manage:mail', 'browse:mail'], ['browse:mail'], ['lease:mail'], ['manage:else*']].map(rights =>
        inUse(holdfast, admin, rights)
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
        `${method} ${path}: one that it may not see is as one that is not there`
      )
    }
    t.equal(
      (await stranger!.call('PUT', '/schedules/nightly', { ...schedule, queue: 'elsewhere' })).status,
      404,
      'it cannot be taken over either'
    )
    t.equal(
      (await manager!.call('PUT', '/schedules/nightly', { queue: 'other' })).status,
      404,
      'nor moved to a queue that the key does not see'
    )
    t.strictSame(
      (await viewer!.get('/schedules')).body.schedules.map(({ name }: { name: string }) => name),
      ['nightly']
    )
    t.strictSame((await stranger!.get('/schedules')).body.schedules, [])
    t.equal((await manager!.call('DELETE', '/schedules/nightly')).status, 204)
  }
)
