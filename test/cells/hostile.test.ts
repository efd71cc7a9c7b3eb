/** Cells that are silent, broken, or no service of Holdfast: the desk goes on for the others. */
import { EventEmitter, once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import http, { type RequestListener } from 'node:http'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startDesk } from '../../src/cells/desk/start.ts'
import { readConfig } from '../../src/config.ts'
import { client } from '../support/service.ts'
import { cellsCommand } from './setup.ts'

const buffered = true

async function replica(t: Test, answer: RequestListener): Promise<string> {
  const server = http.createServer(answer).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.close()
    server.closeAllConnections()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const problem = (code: string) => JSON.stringify({ code })
const page = { matched: 1, total: 1, leftOut: 0, sums: { ready: 1 } }

/** What a service of Holdfast answers, with one queue and one schedule of this name. */
const good = (name: string): RequestListener => {
  const queue = { queue: name, createdAt: '2026-01-01T00:00:00.000Z', counts: { ready: 1 } }
  const lists = { queues: [queue], topics: [], schedules: [{ name }], keys: [], cursor: null }
  return ({ method, url = '' }, response) => {
    const [path = ''] = url.split('?')
    if (method === 'GET' && path.endsWith('/run')) {
      return response.writeHead(405).end(problem('methodNotAllowed'))
    }
    if (path === '/metrics') return response.end('# TYPE holdfast_x gauge\nholdfast_x 1\n')
    if (path === '/console/live') {
      response.writeHead(200, { 'content-type': 'text/event-stream' })
      return response.write(`: open\n\ndata: ${JSON.stringify({ ...page, rows: [{ queue: name }] })}\n\n`)
    }
    if (path.startsWith('/schedules/') && path.split('/')[2] !== name) {
      return response.writeHead(404).end(problem('scheduleNotFound'))
    }
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(path.startsWith('/schedules/') ? { name } : lists))
  }
}

const silent: RequestListener = () => {}

/** A desk over cells a, b, … with these replicas. */
async function desk(t: Test, cells: string[][], env: Record<string, string> = {}) {
  const named = cells.map((replicas, index) => [
    String.fromCharCode(97 + index),
    { databaseUrl: 'postgresql://nowhere/x', replicas }
  ])
  const file = join(t.testdir(), 'cells.json')
  await writeFile(
    file,
    JSON.stringify({
      cells: Object.fromEntries(named),
      prefixes: { '': 'a', ...(cells.length > 1 && { 'b-': 'b' }) }
    })
  )
  const settings = readConfig({ HOLDFAST_PORT: '0', HOLDFAST_LOG_LEVEL: 'silent', ...env })
  const running = await startDesk(settings, file, () => {})
  t.teardown(() => running.stop())
  return { file, ...client(running.url) }
}

t.test('a replica that is silent is passed over, and asked last from then on', { buffered }, async t => {
  const heard: string[] = []
  const hung = await replica(t, ({ url }) => heard.push(url!))
  const stalled = await replica(t, ({ url }, response) => {
    heard.push(url!)
    response.write('{')
  })
  const fine = await replica(t, good('x'))
  const { get, call } = await desk(t, [
    [hung, fine],
    [stalled, fine]
  ])
  t.match(await get('/queues'), { status: 200, body: { queues: [{ queue: 'x' }] } })
  t.equal(heard.length, 2)
  t.equal((await get('/queues')).status, 200)
  t.match(await call('PUT', '/keys/k', {}), { status: 200 })
  t.equal(heard.length, 2)
})

t.test('metrics come within the 10 s of Prometheus, whatever cells are silent', { buffered }, async t => {
  const hung = await replica(t, silent)
  const fine = await replica(t, good('x'))
  const { get } = await desk(t, [[hung], [hung], [fine]])
  const startedMs = performance.now()
  const { text } = await get('/metrics')
  t.ok(performance.now() - startedMs < 9000)
  for (const sample of [
    'cell_up{cell="a"} 0',
    'cell_up{cell="b"} 0',
    'cell_up{cell="c"} 1',
    'x{cell="c"} 1'
  ]) {
    t.match(text, `holdfast_${sample}`)
  }
})

t.test('a schedule is found, and changed, whatever other cells are away', { buffered }, async t => {
  const hung = await replica(t, silent)
  const fine = await replica(t, good('b-x'))
  const refusing = await replica(t, (_request, response) => {
    response.writeHead(503).end(problem('databaseUnavailable'))
  })
  const another = await replica(t, good('x'))
  const { get, call } = await desk(t, [[another], [fine], [refusing], [hung]])
  t.match(await get('/schedules/b-x'), { status: 200 })
  t.match(await call('POST', '/schedules/b-x/run', {}), { status: 200 })
  t.match(await call('PUT', '/schedules/b-x', { queue: 'b-x' }), { status: 200 })
  t.match(await call('DELETE', '/schedules/b-x'), { status: 200 })
  t.match(await call('PUT', '/schedules/other', { queue: 'b-x' }), {
    status: 503,
    body: { code: 'cellUnavailable' }
  })
})

/** What stands at the address of a cell. */
const strangers: Record<string, RequestListener> = {
  'a text': (_request, response) => response.end('garbage'),
  'a list': (_request, response) => response.end('[]'),
  'no list': (_request, response) => response.end('{"queues":null,"keys":7,"schedules":7,"cursor":null}'),
  'wrong entries': (_request, response) =>
    response.end(
      '{"queues":[{"queue":"x"}],"keys":[{}],"topics":[1],"schedules":[{"name":7}],"cursor":null}'
    ),
  'no cursor': (_request, response) => response.end('{"queues":[],"cursor":7}'),
  "another server's 404": (_request, response) => response.writeHead(404).end('<h1>Not found</h1>'),
  'a redirect': (_request, response) =>
    response.writeHead(302, { location: 'http://elsewhere.example/' }).end(),
  nothing: (_request, response) => response.end()
}

for (const [what, answer] of Object.entries(strangers)) {
  t.test(`${what} is no answer of a cell`, { buffered }, async t => {
    const cells = [[await replica(t, good('x'))], [await replica(t, answer)]]
    const { url, get, call } = await desk(t, cells)
    const detail = /^What answers for the cell b is no service of Holdfast: GET/
    const refusal = { status: 503, body: { code: 'cellUnavailable', detail } }
    t.match(await get('/queues'), refusal)
    if (what !== 'no cursor') t.match(await get('/keys'), refusal)
    if (what !== 'wrong entries') {
      const revoked = await call('DELETE', '/keys/k')
      t.match(revoked, { status: 503, body: { outcome: 'unknown' } }, 'nobody says that it is revoked')
    }
    const { text } = await get('/metrics')
    t.match(text, /^holdfast_cell_up{cell="b"} 0$/m)
    t.match(text, /^holdfast_x{cell="a"} 1$/m)
    t.match(await firstPage(url), { leftOut: null, rows: [{ queue: 'x' }] })
  })
}

/** What the desk first tells a console. */
async function firstPage(url: string) {
  const { body } = await fetch(`${url}/console/live`)
  let text = ''
  for await (const chunk of body!.pipeThrough(new TextDecoderStream())) {
    text += chunk
    const event = /^data: (.*"rows".*)$/m.exec(text)
    if (event !== null) return JSON.parse(event[1]!)
  }
}

const events =
  (text: string): RequestListener =>
  (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(text)
  }

/** What the stream of a cell tells. */
const streams: Record<string, RequestListener> = {
  'no answer': silent,
  'no event': events(': open\n\n'),
  'no JSON': events('data: garbage\n\n'),
  'no page': events('data: {"rows":[null],"sums":{}}\n\n'),
  'an end at once': (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write(': open\n\n', () => response.destroy())
  },
  'a refusal for want of its database': (_request, response) => {
    response.writeHead(503).end(problem('databaseUnavailable'))
  }
}

for (const [what, answer] of Object.entries(streams)) {
  t.test(`the console leaves out a cell that gives ${what}`, { buffered }, async t => {
    const { url } = await desk(t, [[await replica(t, answer)], [await replica(t, good('x'))]])
    t.match(await firstPage(url), { leftOut: null, rows: [{ queue: 'x' }] })
  })
}

t.test('the console is refused a page that is none', { buffered }, async t => {
  const { get } = await desk(t, [[await replica(t, good('x'))]])
  for (const query of ['page=x', 'page=-1', 'page=1e9', 'limit=0', 'limit=x', 'limit=101', 'sort=x']) {
    t.match(await get(`/console/live?${query}`), { status: 400, body: { code: 'invalidRequest' } }, query)
  }
})

t.test('an answer without end is not taken, and the metrics of others are shown', { buffered }, async t => {
  const endless = await replica(t, (_request, response) => {
    const piece = Buffer.alloc(65_536, ' ')
    const write = () => {
      while (response.writable && response.write(piece));
    }
    response.on('drain', write)
    write()
  })
  const { get } = await desk(t, [[endless], [await replica(t, good('x'))]])
  const detail = /^The cell a answered GET \/queues with more than 33554432 bytes/
  t.match(await get('/queues'), { status: 503, body: { code: 'cellUnavailable', detail } })
  t.match((await get('/metrics')).text, /^holdfast_x{cell="b"} 1$/m)
})

t.test('a silent cell leaves room for calls to the others', { buffered }, async t => {
  const heard = createServer().listen(0, '127.0.0.1')
  t.teardown(() => heard.close())
  await once(heard, 'listening')
  const hung = `http://127.0.0.1:${(heard.address() as AddressInfo).port}`
  const { get, call } = await desk(t, [[hung], [await replica(t, good('b-x'))]], {
    HOLDFAST_CONNECTIONS_MAX: '40'
  })
  heard.on('connection', socket => t.teardown(() => socket.destroy()))
  // Each has another key, so no share holds them back. No cell has said yet that it knows none of them.
  const strangers = Array.from({ length: 20 }, (_, n) =>
    call('GET', '/queues', undefined, { authorization: `Bearer ${n}` })
  )
  while ((await connectionsOf(heard)) < 20) await once(heard, 'connection')
  const startedMs = performance.now()
  const detail = /holds 20 unanswered calls to the cell a/
  t.match(await get('/queues'), { status: 503, body: { code: 'cellUnavailable', detail } })
  t.match((await get('/metrics')).text, /^holdfast_cell_up{cell="a"} 0$/m)
  t.match(await get('/schedules/b-x'), { status: 200 })
  t.ok(performance.now() - startedMs < 4000, 'at once')
  for (const { status } of await Promise.all(strangers)) t.equal(status, 503)
  const later = await get('/queues')
  t.match(later, { status: 503, body: { detail: /does not answer/ } }, 'there is room again')
})

const connectionsOf = (server: ReturnType<typeof createServer>) =>
  new Promise<number>((resolve, reject) => {
    server.getConnections((error, count) => (error ? reject(error) : resolve(count)))
  })

t.test('who has gone leaves no call to a cell behind', { buffered }, async t => {
  const asked = new EventEmitter()
  const hung = await replica(t, (_request, response) => {
    asked.emit('call')
    response.once('close', () => asked.emit('end'))
  })
  const { url } = await desk(t, [[hung]], { HOLDFAST_CONNECTIONS_MAX: '4' })
  // Each call is more than a caller's share, if those before it were still held.
  for (const path of ['/queues', '/metrics', '/schedules/x', '/console/live']) {
    const leaving = new AbortController()
    const [calls, ended] = [once(asked, 'call'), once(asked, 'end')]
    const answer = fetch(url + path, { signal: leaving.signal })
    await calls
    leaving.abort()
    const startedMs = performance.now()
    await t.rejects(answer)
    await ended
    t.ok(performance.now() - startedMs < 2000, path)
  }
})

t.test('a key is made in every cell, though its caller has gone', { buffered }, async t => {
  const heard = new EventEmitter()
  const slow = await replica(t, (_request, response) => {
    heard.emit('first')
    // Only when the caller has gone.
    heard.once('gone', () => response.end('{}'))
  })
  const second = await replica(t, ({ method }, response) => {
    heard.emit('second', method)
    response.end('{}')
  })
  const { url, get } = await desk(t, [[slow], [second]])
  const leaving = new AbortController()
  const [first, last] = [once(heard, 'first'), once(heard, 'second')]
  const headers = { 'content-type': 'application/json' }
  const answer = fetch(`${url}/keys`, { method: 'POST', body: '{}', headers, signal: leaving.signal })
  await first
  leaving.abort()
  await t.rejects(answer)
  await get('/livez') // by then the desk has seen the end of the connection
  heard.emit('gone')
  t.strictSame(await last, ['POST'])
})

t.test('place and doctor go on to the next cell where one is away', { buffered }, async t => {
  const { file } = await desk(t, [['http://127.0.0.1:9'], ['http://127.0.0.1:9']])
  const placed = await cellsCommand({ file }, 'place').ended
  t.match(placed, { code: 1, said: /database of the cell a was not.*\n.*database of the cell b was not/ })
  const checked = await cellsCommand({ file }, 'doctor').ended
  t.match(checked, { code: 1, said: /Cell a\nbad +database (.|\n)*Cell b\nbad +database/ })
})
