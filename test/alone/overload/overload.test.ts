/**
 * Ten times the load that the service can carry, with real processes. Admitted calls are answered
 * in time, the others are refused early, acks go on, memory is bounded, and nothing is left behind.
 * It lasts a few seconds here, and a minute with `npm run overload`.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { setPriority } from 'node:os'
import t, { type Test } from 'tap'
import { connect, freshDatabase } from '../../support/postgres.ts'
import { serviceProcess } from '../../support/service.ts'
import type { Rush, RushResult } from './crowd.ts'

const long = process.env.HOLDFAST_TEST_SECONDS !== undefined
type Load = Pick<Rush, 'listLength' | 'bodyBytes'> & {
  /** Producers that the service can serve at best. */
  producers: number
  /** How long ten times as much is sent. */
  seconds: number
  /** The share of the best goodput that must remain. */
  goodputMin: number
}
const seconds = Number(process.env.HOLDFAST_TEST_SECONDS ?? 8)
// In a few seconds the last two loads vary too much for a higher share.
const briefly = long ? { seconds, goodputMin: 0.8 } : { seconds: seconds / 2, goodputMin: 0.6 }
const loads: Record<string, Load> = {
  'lists of 400 small messages': { listLength: 400, bodyBytes: 40, producers: 16, seconds, goodputMin: 0.8 },
  'single small messages': { listLength: 1, bodyBytes: 40, producers: 64, ...briefly },
  'single messages of 100 kB': { listLength: 1, bodyBytes: 100_000, producers: 16, ...briefly }
}
const poolSize = 6
/** The longest wait of an item, and its own flush. */
const admittedMsMax = 5000 + 1000
const rssBytesMax = 512 * 1024 * 1024

const crowd = fork(new URL('crowd.ts', import.meta.url))
// Callers have machines of their own. The crowd has none, so it leaves the processor to the service.
setPriority(crowd.pid!, 10)
t.teardown(() => {
  crowd.kill()
})
// Each load has its own service, since memory that one load has taken is not given back.
let holdfast: Awaited<ReturnType<typeof serviceProcess>>

/** A result, and the processor seconds that the service used meanwhile. */
type Measured = RushResult & { cpuSeconds: number }
async function rush(
  order: Omit<Rush, 'port' | 'consumers' | 'waiters'> & { waiters?: number }
): Promise<Measured> {
  const cpu = async () => (await gauges()).process_cpu_seconds_total!
  const before = await cpu()
  crowd.send({ port: Number(new URL(holdfast.url).port), consumers: 8, waiters: 0, ...order } satisfies Rush)
  const [result] = await once(crowd, 'message')
  return { ...result, cpuSeconds: (await cpu()) - before }
}

const mib = (bytes: number) => Math.round(bytes / 1024 / 1024)

/** The metrics without labels. */
async function gauges(): Promise<Record<string, number>> {
  const { text } = await holdfast.get('/metrics')
  const lines = [...text.matchAll(/^(\w+) ([\d.e+]+)$/gm)]
  return Object.fromEntries(lines.map(([, name, value]) => [name, Number(value)]))
}

/** Open files of the service, without its connections to the database and to callers. */
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
  const sql = await connect(t, database.url)
  await holdfast.call('PUT', '/queues/rush')
  await holdfast.call('PUT', '/queues/nothing')
  await rush({ ...load, producers, ms: 1000 }) // warms up
  const before = await descriptors()

  // The best and the flood take turns, so that other work of this machine falls on both.
  const best: Measured[] = []
  const flood: Measured[] = []
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

  const sumOf = (results: Measured[], pick: (result: Measured) => number) =>
    results.reduce((sum, result) => sum + pick(result), 0)
  const messagesOf = (results: Measured[]) => sumOf(results, ({ stored, acked }) => stored + acked)
  const rate = (results: Measured[]) => (messagesOf(results) / sumOf(results, ({ ms }) => ms)) * 1000
  const share = rate(flood) / rate(best)
  const refused = sumOf(flood, ({ refused }) => refused['enqueue overloaded'] ?? 0)
  const unsent = sumOf(flood, ({ unsent }) => unsent)
  const lists = unsent + sumOf(flood, ({ lists }) => lists)
  const worst = (pick: (result: Measured) => number) => Math.max(...flood.map(pick))
  t.comment(
    `goodput ${Math.round(rate(flood))} of ${Math.round(rate(best))} messages/s at best: ` +
      `${share.toFixed(2)}; lists offered ${lists}, refused ${refused}, no connection for ${unsent}`
  )
  t.comment(
    `admitted: median ${worst(({ admittedMs }) => admittedMs.median)} ms, ` +
      `99 % ${worst(({ admittedMs }) => admittedMs.p99)} ms, ` +
      `worst ${worst(({ admittedMs }) => admittedMs.worst)} ms; ` +
      `refused: median ${worst(({ refusedMs }) => refusedMs.median)} ms, ` +
      `99 % ${worst(({ refusedMs }) => refusedMs.p99)} ms`
  )
  const cpu = (results: Measured[]) => {
    const seconds = sumOf(results, ({ cpuSeconds }) => cpuSeconds) / messagesOf(results)
    return `${(seconds * 1e6).toFixed(1)} µs`
  }
  t.comment(
    'processor time of the service for each message stored or acked: ' +
      `${cpu(best)} at best, ${cpu(flood)} in the flood`
  )
  t.comment(
    `memory at most ${mib(rss)} MiB, ${mib(rssBefore)} before; ` +
      `/livez within ${Math.round(Math.max(...alive))} ms; ` +
      `all refusals ${JSON.stringify(flood.map(({ refused }) => refused))}`
  )

  t.ok(refused + unsent > lists / 2, 'most of the flood is refused, or all its callers wait for an answer')
  t.strictSame(
    [...best, ...flood].flatMap(({ odd }) => odd).slice(0, 5),
    [],
    'every refusal is an honest 429 or 503 with Retry-After'
  )
  t.strictSame(
    flood.flatMap(({ refused }) => Object.keys(refused)).filter(what => !/^(enqueue|lease) /.test(what)),
    [],
    'no ack and no extend was refused'
  )
  t.ok(
    flood.every(({ acked }) => acked > 0),
    'acks went on'
  )
  t.ok(share >= goodputMin, `goodput ${share.toFixed(2)} of the best`)
  t.ok(worst(({ admittedMs }) => admittedMs.worst) < admittedMsMax, 'admitted calls are answered in time')
  t.ok(rss < rssBytesMax, 'memory is bounded')

  t.test('at the end of the flood nothing is left', async t => {
    let now: Record<string, number>
    do now = await gauges()
    while (
      now.holdfast_waiting_calls! > 0 ||
      now.holdfast_pool_waiting! > 0 ||
      now.holdfast_pool_idle_connections !== now.holdfast_pool_connections
    )
    while ((await descriptors()) > before || now.holdfast_connections! > 10) now = await gauges()
    const { rows } = await sql.query(`
      select
        count(*)::int as sessions,
        count(*) filter (where state like 'idle in%')::int as open
      from pg_stat_activity
      where application_name = 'holdfast' and datname = current_database()`)
    const { sessions, open } = rows[0]
    t.ok(sessions <= poolSize, `${sessions} sessions`)
    t.equal(open, 0, 'no transaction left open')
    t.equal(holdfast.child.exitCode, null)
    t.notMatch(holdfast.said(), /unhandled|uncaught|MaxListeners|unexpected error/i)
  })
}
