/** Which callers must show a key, and which are refused where no key is needed. */
import { mkdtemp, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { clientWith, guarded } from '../../support/apiKeys.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { client, service } from '../../support/service.ts'

t.test('a service for other machines has a key, or is told with HOLDFAST_AUTH=off to need none', async t => {
  const database = await freshDatabase(t)
  await t.rejects(
    service(t, { database, env: { HOLDFAST_HOST: '0.0.0.0' } }),
    /There is no API key yet.*HOLDFAST_AUTH=off/
  )
  const open = await service(t, { database, env: { HOLDFAST_HOST: '0.0.0.0', HOLDFAST_AUTH: 'off' } })
  t.equal((await client(open.url.replace('0.0.0.0', '127.0.0.1')).get('/queues')).status, 200)
  await open.post('/keys', { name: 'x', rights: ['admin'] })
  const { url } = await service(t, { database, env: { HOLDFAST_HOST: '0.0.0.0' } })
  t.equal((await client(url.replace('0.0.0.0', '127.0.0.1')).get('/queues')).status, 401)
})

t.test('an admin key file that cannot be read, or holds no good key, stops the start', async t => {
  const database = await freshDatabase(t)
  const startWith = (file: string) => service(t, { database, env: { HOLDFAST_ADMIN_KEY_FILE: file } })
  for (const text of ['short', `${'x'.repeat(40)}\n${'y'.repeat(40)}`]) {
    const file = join(await mkdtemp(join(tmpdir(), 'holdfast-keys-')), 'key')
    await writeFile(file, text)
    await t.rejects(startWith(file), /32 to 256/)
  }
  await t.rejects(startWith('/nowhere'), /cannot be read \(ENOENT\)/)
})

/** Sends a request exactly so, on a connection of its own. Returns the status and the code of a problem. */
async function raw(url: string, line: string, fields: string[]): Promise<[number, string | undefined]> {
  const { hostname, port } = new URL(url)
  const socket = net.connect(Number(port), hostname)
  const body = line.startsWith('POST') ? 'hello' : ''
  const rest = ['connection: close', 'content-type: text/plain', `content-length: ${body.length}`, '', body]
  socket.write([`${line} HTTP/1.1`, ...fields, ...rest].join('\r\n'))
  const answer = await text(socket)
  return [Number(answer.slice(9, 12)), /"code":"(\w+)"/.exec(answer)?.[1]]
}

t.test('without a key only the names of this machine are served, as browsers write them', async t => {
  const { url } = await service(t)
  const { port } = new URL(url)
  const good = ['localhost', 'queue.localhost', 'a.b-1.localhost', '127.0.0.1', '127.255.0.99', '[::1]']
  const bad = [
    'printer',
    '1.2.3.4',
    'evil.com',
    'evil.com.',
    'localhost.',
    'localhost.evil.com',
    'evillocalhost',
    '.localhost',
    'LOCALHOST',
    '127.1',
    '127.0.0.01',
    '127.0.0.256',
    '127.0.0.1.evil.com',
    '0177.0.0.1',
    '2130706433',
    '0.0.0.0',
    '[::]',
    '[0:0:0:0:0:0:0:1]',
    '[::ffff:127.0.0.1]',
    '::1',
    'me@localhost',
    'localhost/',
    'localhost,localhost'
  ]
  for (const host of good) {
    for (const end of ['', `:${port}`]) {
      t.strictSame(await raw(url, 'GET /queues', [`host: ${host}${end}`]), [200, undefined], host + end)
    }
    bad.push(...[':', ':1', `:0${port}`, `:${port}0`, `:${port}:${port}`].map(end => host + end))
  }
  for (const host of ['', ...bad, ...bad.map(name => `${name}:${port}`)]) {
    t.strictSame(await raw(url, 'GET /queues', [`host: ${host}`]), [403, 'forbidden'], host)
  }
  t.strictSame(await raw(url, 'GET /queues', []), [403, 'forbidden'], 'no Host at all')
  const local = `host: localhost:${port}`
  t.strictSame(await raw(url, `GET http://localhost:${port}/queues`, [local]), [200, undefined])
  t.strictSame(await raw(url, 'GET http://evil.com/queues', [local]), [403, 'forbidden'], 'a whole address')
  t.strictSame(await raw(url, 'GET /queues', [local, 'Host: evil.com']), [400, 'malformedRequest'])
})

t.test('without a key nobody is served through a proxy', async t => {
  const { url } = await service(t)
  const fields = ['Forwarded: for=1.2.3.4', 'X-Forwarded-For: 1.2.3.4', 'x-forwarded-proto: https']
  fields.push('X-FORWARDED-HOST: localhost', 'X-Forwarded-Anything:', 'X-Real-IP: 127.0.0.1', 'Via: 1.1 x')
  for (const field of fields) {
    for (const path of ['/queues', '/console', '/docs', '/nowhere']) {
      t.strictSame(await raw(url, `GET ${path}`, ['host: localhost', field]), [403, 'forbidden'], field)
    }
  }
  const many = Array.from({ length: 1500 }, (_, index) => `${index}:`)
  const last = await raw(url, 'GET /queues', ['host: localhost', ...many, 'via: 1.1 x'])
  t.strictSame(last, [403, 'forbidden'], 'a field after very many others')
})

t.test('without a key pages of other sites are refused, but a link from one may open a page', async t => {
  const { url, get } = await service(t)
  const { host, port } = new URL(url)
  const enqueue = 'POST /queues/q/messages'
  const link = ['sec-fetch-mode: navigate', 'sec-fetch-dest: document']
  const good: [string, ...string[]][] = [
    [enqueue],
    [enqueue, `origin: http://${host}`],
    [enqueue, `origin: http://${host}`, 'sec-fetch-site: same-origin', 'sec-fetch-mode: cors'],
    [enqueue, 'sec-fetch-site: none'],
    ['GET /queues', 'sec-fetch-site: cross-site', ...link],
    ['GET /queues', 'sec-fetch-site: same-site', ...link]
  ]
  for (const [line, ...fields] of good) {
    const [status] = await raw(url, line, [`host: ${host}`, ...fields])
    t.ok(status === 200 || status === 201, `${line} ${fields}: ${status}`)
  }
  const origins = [
    'https://example.org',
    'null',
    `https://${host}`,
    'http://localhost',
    `http://localhost:${port}`
  ]
  for (const origin of origins) {
    t.strictSame(await raw(url, enqueue, [`host: ${host}`, `origin: ${origin}`]), [403, 'forbidden'], origin)
  }
  for (const site of ['cross-site', 'same-site', 'something-new', 'same-origin, cross-site']) {
    const fetches = [
      [enqueue],
      ['GET /queues'],
      [enqueue, ...link],
      ['HEAD /queues', ...link],
      ['GET /console', 'sec-fetch-mode: navigate', 'sec-fetch-dest: iframe'],
      ['GET /docs', 'sec-fetch-mode: no-cors', 'sec-fetch-dest: document']
    ]
    for (const [line, ...fields] of fetches) {
      const [status] = await raw(url, line!, [`host: ${host}`, `sec-fetch-site: ${site}`, ...fields])
      t.equal(status, 403, `${line} ${site} ${fields}`)
    }
  }
  t.equal((await get('/queues/q')).body.counts.ready, 4)
})

t.test(
  'probes are answered under any name and through any proxy, but to no page of another site',
  async t => {
    const { url } = await service(t)
    for (const path of ['/livez', '/readyz']) {
      for (const fields of [['host: 10.0.0.7:99'], ['host: x', 'x-forwarded-for: 1.2.3.4', 'via: 1.1 x']]) {
        t.strictSame(await raw(url, `GET ${path}`, fields), [200, undefined], `${path} ${fields}`)
        t.equal((await raw(url, `HEAD ${path}`, fields))[0], 200)
      }
      t.equal((await raw(url, `GET ${path}`, ['host: localhost', 'sec-fetch-site: cross-site']))[0], 403)
    }
  }
)

t.test('with a key, and with HOLDFAST_AUTH=off, any name and any proxy will do', async t => {
  const { holdfast, admin } = await guarded(t)
  const { secret } = await clientWith(holdfast, admin, ['browse:*'])
  const fields = ['host: queues.example.org', 'x-forwarded-for: 1.2.3.4', 'sec-fetch-site: cross-site']
  t.equal((await raw(holdfast.url, 'GET /queues', [...fields, `authorization: Bearer ${secret}`]))[0], 200)
  const open = await service(t, { env: { HOLDFAST_AUTH: 'off' } })
  t.equal((await raw(open.url, 'GET /queues', fields))[0], 200)
})

t.test('Swagger UI, the API document and the metrics can be open to all', async t => {
  const { holdfast } = await guarded(t, { HOLDFAST_OPEN: 'docs,metrics' })
  for (const path of ['/docs/static/index.html', '/docs/json', '/openapi.json', '/metrics']) {
    t.equal((await holdfast.get(path)).status, 200, path)
  }
  t.equal((await holdfast.get('/queues')).status, 401)
})
