/**
 * The metrics, in the text format of Prometheus; docs/metrics.md has them all. Those of queues
 * come from the database's own ledger, so every replica tells the same.
 */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import { totals, type QueueTotals, type Total } from '../../core/counters.ts'
import { reliabilityOf } from '../../core/queue.ts'
import type { ReplicaStats, Times } from '../../core/engine/replicaStats.ts'
import { answeredBoundsSeconds, type RequestMetrics } from '../shared/requestMetrics.ts'

export interface MetricsSources {
  pool: () => { total: number; idle: number; waiting: number }
  waiters: () => number
  /** Of callers. */
  connections: () => Promise<number>
  listening: () => boolean
  sweeperLagSeconds: () => number
  /** What the oldest snapshot's age is, and how many sessions could not be asked. */
  snapshots: () => Promise<{ oldest: { ageSeconds: number } | null; hidden: number }>
  replicaStats: ReplicaStats
  requestMetrics: RequestMetrics
  /** At most a thousand queues, by name. */
  queues: () => Promise<QueueTotals[]>
  /** When the oldest ready message of each of these queues was enqueued, in seconds since the epoch. */
  oldestReady: (queueIds: number[]) => Promise<Map<number, number>>
}

interface HistogramValues {
  labels: Record<string, string>
  buckets: number[]
  sumSeconds: number
}

export function createMetrics(sources: MetricsSources): () => Promise<string> {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const gauge = (name: string, help: string, read: () => number | null | Promise<number | null>) =>
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        const value = await read()
        if (value === null) this.reset()
        else this.set(value)
      }
    })
  gauge('holdfast_waiting_calls', 'Calls waiting for messages on this replica.', sources.waiters)
  gauge('holdfast_connections', 'Open connections of callers.', sources.connections)
  gauge('holdfast_pool_connections', 'Open connections to the database.', () => sources.pool().total)
  gauge('holdfast_pool_idle_connections', 'Open connections that nobody uses.', () => sources.pool().idle)
  gauge('holdfast_pool_waiting', 'Statements waiting for a connection.', () => sources.pool().waiting)
  gauge('holdfast_listener_connected', '1 while notices of other replicas are heard.', () =>
    Number(sources.listening())
  )
  gauge(
    'holdfast_sweeper_lag_seconds',
    'How late the last sweep found what was due, or how long no sweep has gone well.',
    sources.sweeperLagSeconds
  )

  let snapshots: { oldest: { ageSeconds: number } | null; hidden: number } | null = null
  gauge(
    'holdfast_oldest_snapshot_seconds',
    'Age of the oldest snapshot that is held in the database, as far as our role may see.',
    () => (snapshots === null ? null : (snapshots.oldest?.ageSeconds ?? 0))
  )
  gauge(
    'holdfast_hidden_sessions',
    'Sessions of other roles whose snapshots ours may not see.',
    () => snapshots?.hidden ?? null
  )
  let answered = false
  gauge('holdfast_database_up', '1 when the database answered for this page.', () => Number(answered))

  const { replicaStats, requestMetrics } = sources
  counters(
    'holdfast_flushes_total',
    'Flushes of this replica that went to the database.',
    ({ count }) => count
  )
  counters('holdfast_flushed_messages_total', 'Messages in them.', ({ messages }) => messages)
  function counters(
    name: string,
    help: string,
    read: (flushes: { count: number; messages: number }) => number
  ): void {
    const counter: Counter = new Counter({
      name,
      help,
      labelNames: ['kind'],
      registers,
      collect() {
        counter.reset()
        for (const [kind, flushes] of Object.entries(replicaStats.flushes)) {
          counter.inc({ kind }, read(flushes))
        }
      }
    })
  }
  const times = ({ buckets, sumMs }: Times) => [{ labels: {}, buckets, sumSeconds: sumMs / 1000 }]
  const doubling = replicaStats.waits.buckets.slice(1).map((_, index) => 2 ** index / 1000)
  histogram(
    registry,
    'holdfast_message_wait_seconds',
    'From the enqueue to the lease, of messages leased here that were ready from their enqueue on.',
    doubling,
    () => times(replicaStats.waits)
  )
  histogram(
    registry,
    'holdfast_message_work_seconds',
    'From the lease to the ack, of messages leased and acked here.',
    doubling,
    () => times(replicaStats.works)
  )
  histogram(
    registry,
    'holdfast_http_request_seconds',
    'Requests, by route and class of status, until their answer was handed over to be sent.',
    answeredBoundsSeconds,
    () =>
      requestMetrics.all().map(({ method, route, status, buckets, sumSeconds }) => ({
        labels: { method, route, status },
        buckets,
        sumSeconds
      }))
  )

  const messages = new Gauge({
    name: 'holdfast_messages',
    help: 'Messages by state, a second or two old.',
    labelNames: ['queue', 'state'],
    registers
  })
  const oldest = new Gauge({
    name: 'holdfast_oldest_ready_seconds',
    help: 'Age since its enqueue of the oldest ready message; 0 when none is ready.',
    labelNames: ['queue'],
    registers
  })
  const reliability = new Gauge({
    name: 'holdfast_reliability',
    help:
      'acked / (acked + dead + expired): of the messages that came to an end, the share whose ' +
      'work was done.',
    labelNames: ['queue'],
    registers
  })
  const totalCounters = Object.entries(totals).map(
    ([name, help]) =>
      [name, new Counter({ name: `holdfast_${name}_total`, help, labelNames: ['queue'], registers })] as const
  )

  async function readDatabase(): Promise<void> {
    for (const metric of [messages, oldest, reliability, ...totalCounters.map(([, counter]) => counter)]) {
      metric.reset()
    }
    snapshots = await sources.snapshots().catch(() => null)
    const queues = await sources.queues()
    const since = await sources.oldestReady(
      queues.filter(({ states }) => states.ready > 0).map(({ id }) => id)
    )
    for (const { id, queue, states, totals: counts } of queues) {
      for (const [state, count] of Object.entries(states)) messages.set({ queue, state }, count)
      oldest.set({ queue }, Math.max(0, Date.now() / 1000 - (since.get(id) ?? Infinity)))
      const share = reliabilityOf({ acked: counts.acked, dead: states.dead, expired: counts.expired })
      if (share !== null) reliability.set({ queue }, share)
      for (const [name, counter] of totalCounters) counter.inc({ queue }, counts[name as Total])
    }
  }

  return async () => {
    answered = await readDatabase().then(
      () => true,
      () => false
    )
    if (!answered) snapshots = null
    return await registry.metrics()
  }
}

/**
 * One that is counted elsewhere: `buckets` has an element for each bound and one for what is
 * beyond the last.
 */
function histogram(
  registry: Registry,
  name: string,
  help: string,
  boundsSeconds: number[],
  read: () => HistogramValues[]
): void {
  const metric = {
    name,
    help,
    type: 'histogram',
    aggregator: 'sum',
    reset() {},
    async get() {
      const values = read().flatMap(({ labels, buckets, sumSeconds }) => {
        let below = 0
        const cumulative = buckets.map((count, index) => {
          below += count
          return {
            metricName: `${name}_bucket`,
            labels: { ...labels, le: boundsSeconds[index] ?? '+Inf' },
            value: below
          }
        })
        return [
          ...cumulative,
          { metricName: `${name}_sum`, labels, value: sumSeconds },
          { metricName: `${name}_count`, labels, value: below }
        ]
      })
      return { name, help, type: 'histogram', aggregator: 'sum', values }
    }
  }
  registry.registerMetric(metric as unknown as Parameters<Registry['registerMetric']>[0])
}
