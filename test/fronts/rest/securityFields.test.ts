/** The security fields: on every answer of every front, whatever was asked and whoever answers. */
import { readdir, readFile } from 'node:fs/promises'
import { request, type IncomingHttpHeaders } from 'node:http'
import net from 'node:net'
import { text } from 'node:stream/consumers'
import t from 'tap'
import { guarded } from '../../support/apiKeys.ts'
import { service } from '../../support/service.ts'

const methods = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE']
const dataPolicy = "default-src 'none'; frame-ancestors 'none'"

interface Head {
  status: number
  headers: IncomingHttpHeaders
}

/** Asks, and hangs up when the header fields have come: an event stream never ends. */
function headOf(url: string, method: string, path: string, headers: Record<string, string>): Promise<Head> {
  const { hostname: host, port } = new URL(url)
  return new Promise((resolve, reject) => {
    request({ host, port, method, path, headers }, answer => {
      resolve({ status: answer.statusCode!, headers: answer.headers })
      answer.destroy()
    })
      .on('error', reject)
      .end()
  })
}

/** The security fields that an answer lacks, or has wrong. */
function faultsOf({ headers }: Head): string[] {
  const policy = String(headers['content-security-policy'])
  const isPage = String(headers['content-type']).includes('html')
  const rules: Record<string, boolean> = {
    'default-src': policy.includes("default-src 'none'"),
    'frame-ancestors': policy.includes("frame-ancestors 'none'"),
    'a policy that allows only what is ours': !/unsafe-eval|script-src[^;]*unsafe|https?:|\*/.test(policy),
    nosniff: headers['x-content-type-options'] === 'nosniff',
    'cross-origin-resource-policy': headers['cross-origin-resource-policy'] === 'same-origin',
    'no leave for other origins': headers['access-control-allow-origin'] === undefined,
    'referrer-policy': !isPage || headers['referrer-policy'] === 'no-referrer',
    'cross-origin-opener-policy': !isPage || headers['cross-origin-opener-policy'] === 'same-origin',
    'x-frame-options': !isPage || headers['x-frame-options'] === 'DENY'
  }
  return Object.keys(rules).filter(rule => !rules[rule])
}

/** Every address: those of the contract, both pages with all their files, and some that there are not. */
async function addresses(): Promise<string[]> {
  const { paths } = JSON.parse(await readFile('openapi/openapi.json', 'utf8'))
  const contract = Object.keys(paths).map(path => path.replace('{queue}', 'q').replace(/\{\w+\}/, '1'))
  const pages = await readdir('src/fronts/console/pages')
  const files = pages.filter(name => /\.(html|js|css|svg)$/.test(name)).map(name => `/console/${name}`)
  const shown = ['/console', '/console/', '/console/tables.js', '/console/vendor/uplot.js', '/console/rights']
  const live = ['/console/live', '/console/live/q', '/console/live?limit=x']
  const docs = ['', '/', '/json', '/yaml', '/static/index.html', '/static/swagger-ui.css', '/static/nowhere']
  docs.push('/guide', '/guide/', '/guide/index.html')
  docs.push('/static/swagger-initializer.js', '/static/oauth2-redirect.html', '/static/../../package.json')
  const wrong = [
    '/',
    '/nowhere',
    '//',
    '/queues/%zz',
    `/${'x'.repeat(9000)}`,
    '/queues/q/messages/',
    '/QUEUES'
  ]
  return [
    ...contract,
    ...files,
    ...shown,
    ...live,
    ...docs.map(path => `/docs${path}`),
    '/openapi.json',
    ...wrong
  ]
}

t.test(
  'every answer has the security fields: all addresses, methods and fronts, with a key and without',
  async t => {
    const { holdfast, admin } = await guarded(t)
    const open = await service(t)
    for (const each of [open, admin]) await each.call('PUT', '/queues/q', {})
    const bearer = { authorization: 'Bearer an-admin-key-of-the-tests-0123456789' }
    const callers: [string, string, Record<string, string>][] = [
      ['without keys', open.url, {}],
      ['from elsewhere', open.url, { 'sec-fetch-site': 'cross-site' }],
      ['an admin', holdfast.url, bearer],
      ['nobody', holdfast.url, {}]
    ]
    const statuses = new Set<number>()
    const faults: string[] = []
    for (const [who, url, fields] of callers) {
      for (const path of await addresses()) {
        for (const method of methods) {
          const head = await headOf(url, method, path, { ...fields, 'content-type': 'application/json' })
          statuses.add(head.status)
          for (const fault of faultsOf(head)) faults.push(`${who}: ${method} ${path.slice(0, 80)}: ${fault}`)
        }
      }
    }
    t.strictSame(faults, [])
    t.ok(
      [200, 204, 302, 400, 401, 403, 404, 405].every(status => statuses.has(status)),
      `${[...statuses]}`
    )
  }
)

t.test('answers of the SQS front have them, in each of its protocols, and its refusals too', async t => {
  const { post } = await service(t)
  const byJson = (operation: string) =>
    post('/', '{}', {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': `AmazonSQS.${operation}`
    })
  const byForm = (operation: string) =>
    post('/', `Action=${operation}`, { 'content-type': 'application/x-www-form-urlencoded' })
  for (const ask of [byJson, byForm]) {
    for (const [operation, status] of [
      ['ListQueues', 200],
      ['Nothing', 400]
    ] as const) {
      const answer = await ask(operation)
      t.equal(answer.status, status)
      t.strictSame(faultsOf({ status, headers: Object.fromEntries(answer.headers) }), [], operation)
    }
  }
})

t.test('data may load nothing, and a page only what it needs', async t => {
  const { url, post } = await service(t)
  await post('/queues/q/messages', '<script>alert(1)</script>', { 'content-type': 'text/html' })
  const policy = async (path: string) =>
    (await headOf(url, 'GET', path, {})).headers['content-security-policy']
  for (const path of ['/queues', '/metrics', '/livez', '/openapi.json', '/console/live', '/nowhere']) {
    t.equal(await policy(path), dataPolicy, path)
  }
  t.match(await policy('/console'), /script-src 'self'; .*require-trusted-types-for 'script'/)
  t.match(await policy('/docs'), /script-src 'self'; .*img-src 'self' data:/)
  const lease = await post('/queues/q/lease', undefined, { accept: 'text/html' })
  t.equal(lease.text, '<script>alert(1)</script>')
  t.equal(lease.headers.get('content-security-policy'), `sandbox; ${dataPolicy}`)
  t.equal(lease.headers.get('content-disposition'), 'attachment')
  t.equal(lease.headers.get('x-content-type-options'), 'nosniff')
})

t.test('answers that no route gives have them too', async t => {
  const { url } = await service(t, { env: { HOLDFAST_REQUEST_SECONDS_MAX: '1' } })
  const { hostname, port } = new URL(url)
  const host = 'host: localhost\r\n'
  const requests: [number, string][] = [
    [400, 'GARBAGE\r\n\r\n'],
    [400, `GET /livez HTTP/1.1\r\n${host}${host}\r\n`],
    [400, 'GET /livez HTTP/1.1\r\n\r\n'],
    [408, `POST /queues/q/messages HTTP/1.1\r\n${host}`],
    [417, `GET /queues HTTP/1.1\r\n${host}expect: miracles\r\nconnection: close\r\n\r\n`],
    [431, `GET /queues HTTP/1.1\r\n${host}x: ${'x'.repeat(20_000)}\r\n\r\n`]
  ]
  for (const [status, bytes] of requests) {
    const socket = net.connect(Number(port), hostname)
    socket.write(bytes)
    const answer = await text(socket)
    t.match(answer, new RegExp(`^HTTP/1.1 ${status} `))
    const [head] = answer.toLowerCase().split('\r\n\r\n')
    t.match(head, `\r\ncontent-security-policy: ${dataPolicy}\r\n`, `${status}`)
    t.match(head, '\r\nx-content-type-options: nosniff\r\n', `${status}`)
    t.match(head, '\r\ncross-origin-resource-policy: same-origin', `${status}`)
  }
})
