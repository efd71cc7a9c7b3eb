/**
 * Ten times the load that it can carry, with real processes: what is admitted is answered in time,
 * the rest is refused early, acks go on, memory is bounded, and nothing is left behind. A few
 * seconds here; a minute with `npm run overload`.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import pg from 'pg'
import t, { type Test } from 'tap'
import { freshDatabase } from '../support/postgres.ts'
import { serviceProcess } from '../support/service.ts'
import type { Rush, RushResult } from './crowd.ts'

const long = process.env.HOLDFAST_TEST_OVERLOAD_SECONDS !== undefined
/**
 * What is sent, how many producers can be served at best, how long it is sent ten times as often,
 * and what share of the best is asked for.
 */
type Load = Pick<Rush, 'listLength' | 'bodyBytes'> & {
  producers: number
  seconds: number
  goodputMin: number
}
const seconds = Number(process.env.HOLDFAST_TEST_OVERLOAD_SECONDS ?? 8)
// In a few seconds the last two vary too much for more.
const briefly = long ? { seconds, goodputMin: 0.8 } : { seconds: seconds / 2, goodputMin: 0.6 }
const loads: Record<string, Load> = {
  'lists of 400 small messages': { listLength: 400, bodyBytes: 40, producers: 16, seconds, goodputMin: 0.8 },
  'single small messages': { listLength: 1, bodyBytes: 40, producers: 64, ...briefly },
  'single messages of 100 kB': { listLength: 1, bodyBytes: 100_000, producers: 16, ...briefly }
}
const poolSize = 6
const admittedMsMax = 5000 + 1000 // the longest wait of an item, and its own flush
const rssBytesMax = 512 * 1024 * 1024

const crowd = fork(new URL('crowd.ts', import.meta.url))
t.teardown(() => {
  crowd.kill()
})
// One for each load, since what one of them has taken of memory is not given back for the next.
let holdfast: Awaited<ReturnType<typeof serviceProcess>>

/** With the processor seconds that the service used meanwhile. */
type Seen = RushResult & { cpuSeconds: number }
async function rush(
  order: Omit<Rush, 'port' | 'consumers' | 'waiters'> & { waiters?: number }
): Promise<Seen> {
  const cpu = async () => (await gauges()).process_cpu_seconds_total!
  const before = await cpu()
  crowd.send({ port: Number(new URL(holdfast.url).port), consumers: 8, waiters: 0, ...order } satisfies Rush)
  const [result] = await once(crowd, 'message')
  return { ...result, cpuSeconds: (await cpu()) - before }
}

const mib = (bytes: number) => Math.round(bytes / 1024 / 1024)

async function gauges(): Promise<Record<string, number>> {
  return Object.fromEntries(
    [...(await holdfast.get('/metrics')).text.matchAll(/^(\w+) ([\d.e+]+)$/gm)].map(([, name, value]) => [
      name,
      Number(value)
    ])
  )
}

/**
 * Open files of the service besides its connections to the database and to callers, which are
 * counted by themselves.
 */
async function descriptors(): Promise<number> {
  if (process.platform !== 'linux') return 0
  const { holdfast_pool_connections: pool, holdfast_connections: callers } = await gauges()
  return (await readdir(`/proc/${holdfast.child.pid}/fd`)).length - pool! - callers!
}

for (const [name, load] of Object.entries(loads)) {
  t.test(`ten times the load it can carry: ${name}`, t => overload(t, load))
}

async function overload(t: Test, { producers, seconds, goodputMin, ...load }: Load): Promise<void> {
  const database = await freshDatabase(t)
  holdfast = await serviceProcess(t, {
    HOLDFAST_DATABASE_URL: database.url,
    HOLDFAST_POOL_SIZE: `${poolSize}`,
    HOLDFAST_WAITING_BYTES_MAX: `${2 * 1024 * 1024}`
  })
  const sql = new pg.Client(database.url)
  await sql.connect()
  t.teardown(() => sql.end())
  await holdfast.call('PUT', '/queues/rush')
  await holdfast.call('PUT', '/queues/nothing')
  await rush({ ...load, producers, ms: 1000 }) // to be warm
  const before = await descriptors()

  // The best and the flood in turns, so that whatever else this machine does falls on both.
  const best: Seen[] = []
  const flood: Seen[] = []
  let rss = (await gauges()).process_resident_memory_bytes!
  const rssBefore = rss
  const alive: number[] = []
  const watch = setInterval(async () => {
    const startedMs = performance.now()
    t.equal((await holdfast.get('/livez')).status, 200)
    alive.push(performance.now() - startedMs)
    t.equal((await holdfast.get('/readyz')).status, 200)
    rss = Math.max(rss, (await gauges()).process_resident_memory_bytes!)
  }, 500)
  const turns = seconds < 6 ? 1 : 3
  for (let turn = 0; turn < turns; turn++) {
    best.push(await rush({ ...load, producers, ms: 1000 + (seconds * 1000) / turns / 4 }))
    const listsPerSecond = (10 * best.at(-1)!.lists) / (best.at(-1)!.ms / 1000)
    flood.push(await rush({ ...load, listsPerSecond, ms: (seconds * 1000) / turns, waiters: 200 }))
  }
  clearInterval(watch)

  const rate = (results: RushResult[]) =>
    (results.reduce((sum, { stored, acked }) => sum + stored + acked, 0) /
      results.reduce((sum, { ms }) => sum + ms, 0)) *
    1000
  const share = rate(flood) / rate(best)
  const refused = flood.reduce((sum, { refused }) => sum + (refused['enqueue overloaded'] ?? 0), 0)
  const unsent = flood.reduce((sum, { unsent }) => sum + unsent, 0)
  const lists = flood.reduce((sum, { lists }) => sum + lists, unsent)
  const worst = (pick: (result: Seen) => number) => Math.max(...flood.map(pick))
  t.comment(
    `goodput ${Math.round(rate(flood))} of ${Math.round(rate(best))} messages/s at best: ` +
      `${share.toFixed(2)}; lists offered ${lists}, refused ${refused}, no connection for ` +
      `${unsent}`
  )
  t.comment(
    `admitted: median ${worst(one => one.admittedMs.median)} ms, 99 % ` +
      `${worst(one => one.admittedMs.p99)} ms, worst ${worst(one => one.admittedMs.worst)} ms; ` +
      `refused: median ${worst(one => one.refusedMs.median)} ms, 99 % ` +
      `${worst(one => one.refusedMs.p99)} ms`
  )
  const cpu = (results: Seen[]) =>
    (results.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0) /
      results.reduce((sum, { stored, acked }) => sum + stored + acked, 0)) *
    1e6
  t.comment(
    `processor time of the service for each message stored or acked: ${cpu(best).toFixed(1)} µs at ` +
      `best, ${cpu(flood).toFixed(1)} µs in the flood`
  )
  t.comment(
    `memory at most ${mib(rss)} MiB, ${mib(rssBefore)} before; /livez within ` +
      `${Math.round(Math.max(...alive))} ms; all refusals ` +
      `${JSON.stringify(flood.map(one => one.refused))}`
  )

  t.ok(refused + unsent > lists / 2, 'most of the flood was refused, or all its callers wait for an answer')
  t.strictSame(
    [...best, ...flood].flatMap(({ odd }) => odd).slice(0, 5),
    [],
    'every refusal is an honest 429 or 503 with Retry-After'
  )
  t.strictSame(
    flood.flatMap(one => Object.keys(one.refused)).filter(what => !/^(enqueue|lease) /.test(what)),
    [],
    'no ack and no extend was refused'
  )
  t.ok(
    flood.every(({ acked }) => acked > 0),
    'acks went on'
  )
  t.ok(share >= goodputMin, `goodput ${share.toFixed(2)} of the best`)
  t.ok(worst(one => one.admittedMs.worst) < admittedMsMax, 'what was admitted was answered in time')
  t.ok(rss < rssBytesMax, 'memory is bounded')

  t.test('at its end nothing is left', async t => {
    let now: Record<string, number>
    do now = await gauges()
    while (
      now.holdfast_waiting_calls! > 0 ||
      now.holdfast_pool_waiting! > 0 ||
      now.holdfast_pool_idle_connections !== now.holdfast_pool_connections
    )
    while ((await descriptors()) > before || now.holdfast_connections! > 10) now = await gauges()
    const {
      rows: [{ sessions, open }]
    } = await sql.query(
      "select count(*)::int as sessions, count(*) filter (where state like 'idle in%')::int as open " +
        "from pg_stat_activity where application_name = 'holdfast' and datname = " +
        'current_database()'
    )
    t.ok(sessions <= poolSize, `${sessions} sessions`)
    t.equal(open, 0, 'no transaction left open')
    t.equal(holdfast.child.exitCode, null)
    t.notMatch(holdfast.said(), /unhandled|uncaught|MaxListeners|unexpected error/i)
  })
}
