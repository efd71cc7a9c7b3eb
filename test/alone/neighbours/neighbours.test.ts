/**
 * Neighbours: while one key does what could stop the others, a second key works. Here that lasts a
 * few seconds, with every attack at once. `npm run neighbours` tries each attack by itself too.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import http from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { clientWith, withKey } from '../../support/apiKeys.ts'
import { connect, freshDatabase } from '../../support/postgres.ts'
import { serviceProcess, type Client } from '../../support/service.ts'
import { deeds, largeDeeds, type Order } from './deeds.ts'
import { runOnLeftOverTime } from './leftOver.ts'

const long = process.env.HOLDFAST_TEST_SECONDS !== undefined
const seconds = Number(process.env.HOLDFAST_TEST_SECONDS ?? 6)
const replicas = Number(process.env.HOLDFAST_TEST_NEIGHBOUR_REPLICAS ?? 1)
const processes = process.env.HOLDFAST_TEST_NEIGHBOUR_PROCESSES ?? '1'

/**
 * Its p99 may be this many times its p99 alone, and this much more. With every attack at once,
 * PostgreSQL has more to do than two cores can, so the bound holds for each by itself.
 */
const factorMax = 3
const moreMsMax = 50
/**
 * With every attack at once. Of fewer than 100 calls, p99 is the slowest one. That one may have opened
 * a connection, and a new connection waits behind those that the first key opens.
 */
const p99MsMax = (calls: number) => (calls < 100 ? 5000 : 2000)

type Times = Record<string, number[]>

/** A call on a connection that is kept. Answers the status and the text. */
function calling(url: string, secret: string) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 50 })
  const call = (method: string, path: string, body?: unknown): Promise<{ status: number; text: string }> =>
    new Promise((resolve, reject) => {
      const request = http.request(url + path, {
        method,
        agent,
        headers: {
          authorization: `Bearer ${secret}`,
          ...(body !== undefined && { 'content-type': 'application/json' })
        }
      })
      request.on('error', reject)
      request.on('response', async response => {
        let text = ''
        for await (const piece of response.setEncoding('utf8')) text += piece
        resolve({ status: response.statusCode!, text })
      })
      request.end(body === undefined ? undefined : JSON.stringify(body))
    })
  return { call, close: () => agent.destroy() }
}

/** The time until the first event of a console page. */
function firstEvent(url: string, secret: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = http.get(`${url}/console/live`, { headers: { authorization: `Bearer ${secret}` } })
    request.on('error', reject)
    request.on('response', response => {
      response.once('data', () => {
        resolve(response.statusCode!)
        request.destroy()
      })
    })
  })
}

/** The second key at work for a while: times by call, and what was refused. */
async function work(url: string, secret: string, forMs: number) {
  const { call, close } = calling(url, secret)
  const times: Times = {}
  const refused: string[] = []
  const timed = async <T>(
    what: string,
    ask: () => Promise<T>,
    isGood: (answer: T) => boolean
  ): Promise<T> => {
    const startedMs = performance.now()
    const answer = await ask()
    ;(times[what] ??= []).push(performance.now() - startedMs)
    if (!isGood(answer)) refused.push(`${what}: ${JSON.stringify(answer)}`)
    return answer
  }
  const good = ({ status }: { status: number }) => status < 300
  const untilMs = performance.now() + forMs
  const go = async (pauseMs: number, step: () => Promise<unknown>) => {
    while (performance.now() < untilMs) {
      await step()
      await pause(pauseMs)
    }
  }
  const id = { last: '' }
  await Promise.all([
    ...[1, 2, 3, 4].map(() =>
      go(5, async () => {
        const { text } = await timed(
          'enqueue',
          () => call('POST', '/queues/b-work/messages', { body: { n: 1 } }),
          good
        )
        if (text.startsWith('{"id"')) id.last = JSON.parse(text).id
        const lease = await timed('lease', () => call('POST', '/queues/b-work/lease', { max: 1 }), good)
        const [message] = lease.status === 200 ? JSON.parse(lease.text).messages : []
        if (message !== undefined) {
          await timed('ack', () => call('POST', '/queues/b-work/ack', { receipt: message.receipt }), good)
        }
      })
    ),
    go(20, () => timed('browse', () => call('GET', '/queues/b-shown/messages?limit=20'), good)),
    go(20, () => timed('search', () => call('GET', '/queues/b-shown/messages?contains=needle'), good)),
    go(20, () => timed('report', () => call('GET', '/queues/b-shown'), good)),
    // Somebody waits, and is woken by an enqueue.
    go(20, async () => {
      const waiting = call('POST', '/queues/b-wait/lease', { waitSeconds: 20 })
      await pause(10)
      await timed(
        'wake-up',
        async () => {
          await call('POST', '/queues/b-wait/messages', { body: 1 })
          return await waiting
        },
        good
      )
    }),
    // From when a delay ends until whoever waits has the message.
    go(20, async () => {
      const visibleAtMs = Date.now() + 50
      const visibleAt = new Date(visibleAtMs).toISOString()
      await call('POST', '/queues/b-later/messages', { body: 1, visibleAt })
      const { text } = await call('POST', '/queues/b-later/lease', { waitSeconds: 20 })
      ;(times['delay'] ??= []).push(Date.now() - visibleAtMs)
      await call('POST', '/queues/b-later/ack', { receipt: JSON.parse(text).messages[0].receipt })
    }),
    go(100, () =>
      timed(
        'console page',
        () => call('GET', '/console/rights'),
        ({ status }) => status === 200
      )
    ),
    go(250, () =>
      timed(
        'console stream',
        () => firstEvent(url, secret),
        status => status === 200
      )
    )
  ])
  close()
  return { times, refused }
}

const p99 = (ms: number[]) => ms.toSorted((a, b) => a - b)[Math.ceil(ms.length * 0.99) - 1]!

/** Segments of the database's log, of 16 MiB each. */
const segments = 50

/**
 * A database that is in use writes its log over segments that it needs no longer. A new one fills each
 * segment with zeros first, and nobody can commit for 0.1 s meanwhile.
 */
async function useLog(t: Test, url: string): Promise<void> {
  const session = await connect(t, url)
  for (let n = 0; n < segments; n++) {
    await session.query("select pg_logical_emit_message(true, 'test', 'so that the segment is not empty')")
    await session.query('select pg_switch_wal()')
  }
  await session.query('checkpoint')
}

async function prepare(t: Test): Promise<{ services: Client[]; nuisance: string; neighbour: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-neighbours-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const secret = 'an-admin-key-of-the-tests-0123456789'
  await writeFile(join(folder, 'key'), secret)
  const database = await freshDatabase(t)
  await useLog(t, database.url)
  const services: Client[] = []
  for (let i = 0; i < replicas; i++) {
    const env = {
      HOLDFAST_DATABASE_URL: database.url,
      HOLDFAST_ADMIN_KEY_FILE: join(folder, 'key'),
      HOLDFAST_PROCESSES: processes
    }
    services.push(await serviceProcess(t, env))
  }
  const admin = withKey(services[0]!, secret)
  const actions = ['enqueue', 'lease', 'browse', 'manage', 'publish', 'subscribe']
  const all = (queues: string) => actions.map(right => `${right}:${queues}`)
  const nuisance = await clientWith(services[0]!, admin, all('a-*'))
  const neighbour = await clientWith(services[0]!, admin, all('b-*'))
  for (const holdfast of services) {
    while ((await withKey(holdfast, neighbour.secret).get('/console/rights')).status !== 200) await pause(50)
  }
  for (const queue of ['b-work', 'b-shown', 'b-wait', 'b-later']) {
    await neighbour.call('PUT', `/queues/${queue}`, {})
  }
  const shown = Array.from({ length: 200 }, (_, i) => ({ body: i % 10 === 0 ? 'needle' : 'hay' }))
  await neighbour.post('/queues/b-shown/messages', { messages: shown })
  return { services, nuisance: nuisance.secret, neighbour: neighbour.secret }
}

/** Starts the nuisance's own program. */
async function startNuisance(t: Test): Promise<ChildProcess> {
  const nuisance = fork(new URL('nuisance.ts', import.meta.url), { detached: true })
  await once(nuisance, 'spawn')
  await runOnLeftOverTime(t, nuisance)
  return nuisance
}

/** The second key alone, and then beside the first one with its deeds. */
async function compare(t: Test, chosen: string[], forMs: number) {
  const { services, nuisance: secret, neighbour } = await prepare(t)
  const url = services.at(-1)!.url
  await work(url, neighbour, 1000) // warms up
  const alone = await work(url, neighbour, forMs)
  const nuisance = await startNuisance(t)
  const ports = services.map(({ url }) => Number(new URL(url).port))
  nuisance.send({ ports, secret, deeds: chosen } satisfies Order)
  await once(nuisance, 'message')
  // Its schedules fire in the middle of the time.
  if (chosen.includes('firings')) await pause((120_000 - forMs / 2 - (Date.now() % 60_000)) % 60_000)
  const beside = await work(url, neighbour, forMs)
  nuisance.send('end')
  const [answers] = await once(nuisance, 'message')
  t.comment(`the nuisance's answers: ${JSON.stringify(answers)}`)
  t.strictSame([...new Set(alone.refused)], [], 'alone, nothing is refused')
  t.strictSame([...new Set(beside.refused)].slice(0, 5), [], 'the neighbour gets no refusal')
  return Object.entries(alone.times).map(([what, ms]) => {
    const [before, now] = [p99(ms), p99(beside.times[what]!)]
    const calls = beside.times[what]!.length
    const counts = `${calls} and ${ms.length} calls`
    const text = `${what}: p99 ${now.toFixed(1)} ms, alone ${before.toFixed(1)} ms (${counts})`
    return { text, calls, now, isWithin: now <= factorMax * before + moreMsMax }
  })
}

const options = { timeout: 300_000 }

for (const deed of long ? Object.keys({ ...deeds, ...largeDeeds }) : []) {
  t.test(
    `beside one kind of attack, a neighbour is served as if it were alone: ${deed}`,
    options,
    async t => {
      for (const { text, isWithin } of await compare(t, [deed], 5000)) t.ok(isWithin, text)
    }
  )
}

t.test('beside every attack at once, a neighbour is never refused', options, async t => {
  for (const { text, calls, now, isWithin } of await compare(t, Object.keys(deeds), seconds * 1000)) {
    t.ok(
      now <= p99MsMax(calls),
      `${text}, ${isWithin ? 'within' : 'beyond'} ${factorMax} × + ${moreMsMax} ms`
    )
  }
})
