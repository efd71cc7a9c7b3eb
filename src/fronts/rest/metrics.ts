/**
 * The metrics, in the text format of Prometheus; docs/metrics.md has them all. Those of queues
 * come from the database's own ledger, so every replica tells the same.
 */
import { AggregatorRegistry, collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import {
  labelledTotals,
  movedHelp,
  totalNames,
  totals,
  type QueueTotals,
  type Total
} from '../../core/counters.ts'
import { metricsQueuesMax } from '../../core/limits.ts'
import type { PushFigures } from '../../core/push.ts'
import { reliabilityOf } from '../../core/queue.ts'
import type { ShareReport } from '../../core/engine/share.ts'
import type { ReplicaStats, Times } from '../../core/engine/replicaStats.ts'
import type { Siblings } from '../../core/engine/siblings.ts'
import { gauge, histogram, type Aggregator, type Value } from './metricKinds.ts'
import { pushMetrics } from './pushMetrics.ts'
import { answeredBoundsSeconds, type RequestMetrics } from '../shared/requestMetrics.ts'

interface MetricsSources {
  siblings: Siblings
  pool: () => { total: number; idle: number; waiting: number }
  waiters: () => number
  /** Of callers. */
  connections: () => Promise<number>
  listening: () => boolean
  sweeperLagSeconds: () => number
  /** What the oldest snapshot's age is, and how many sessions could not be asked. */
  snapshots: () => Promise<{ oldest: { ageSeconds: number } | null; hidden: number }>
  /** Who holds how much of each bound that callers share. */
  shares: () => ShareReport[]
  replicaStats: ReplicaStats
  requestMetrics: RequestMetrics
  push: () => PushFigures
  /** At most a thousand queues, and how many there are beside them. */
  queues: () => Promise<{ queues: QueueTotals[]; leftOut: number }>
  /** How many seconds the oldest ready message of each of these queues has been ready. */
  oldestReady: (queueIds: number[]) => Promise<Map<number, number>>
  /** Hears why the queues cannot be shown. */
  onError: (error: unknown) => void
}

/** Answers the page, which is the same whichever process of the replica is asked. */
export function createMetrics(sources: MetricsSources): () => Promise<string> {
  const { siblings } = sources
  const own = ownMetrics(sources)
  siblings.answer('metrics', () => own.read())
  const registry = new Registry()
  let databaseUp = false
  gauge(registry, 'holdfast_database_up', '1 when the database answered for this page.', () =>
    Number(databaseUp)
  )
  const snapshots = snapshotGauges(registry, sources)
  const readQueues = queueMetrics(registry, sources)

  async function page(): Promise<string> {
    const [mine, others] = await Promise.all([own.read(), siblings.ask('metrics', null)])
    const replica = siblings.alone ? own.registry : AggregatorRegistry.aggregate([mine, ...others])
    await snapshots.read()
    databaseUp = await readQueues().then(
      () => true,
      error => {
        sources.onError(error)
        return false
      }
    )
    if (!databaseUp) snapshots.forget()
    return (await replica.metrics()) + (await registry.metrics())
  }

  // Callers who ask at the same time get the same page, so that nobody can keep the database busy.
  let underway: Promise<string> | null = null
  return () =>
    (underway ??= page().finally(() => {
      underway = null
    }))
}

/** How often the lag of the event loop is sampled. Ten times as often costs a hundredth of a core at rest. */
const lagSampleMs = 100

/** What is counted in this process. `read` answers it as objects of prom-client. */
function ownMetrics(sources: MetricsSources): { registry: Registry; read: () => Promise<object[]> } {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: lagSampleMs })
  // Left out otherwise, where there are several processes.
  const started = registry.getSingleMetric('process_start_time_seconds')
  Object.assign(started!, { aggregator: 'min' satisfies Aggregator })
  replicaGauges(registry, sources)
  const readShares = shareMetrics(registry, sources.shares)
  flushCounters(registry, sources.replicaStats)
  staleDeletes(registry, sources.replicaStats)
  timeHistograms(registry, sources)
  pushMetrics(registry, sources.push)
  const read = async () => {
    readShares()
    return await registry.getMetricsAsJSON()
  }
  return { registry, read }
}

function replicaGauges(registry: Registry, sources: MetricsSources): void {
  const gauges: [name: string, help: string, read: () => Value | Promise<Value>, aggregator?: Aggregator][] =
    [
      ['holdfast_processes', 'Processes of this replica that answered for this page.', () => 1],
      ['holdfast_waiting_calls', 'Calls waiting for messages on this replica.', sources.waiters],
      ['holdfast_connections', 'Open connections of callers.', sources.connections],
      ['holdfast_pool_connections', 'Open connections to the database.', () => sources.pool().total],
      ['holdfast_pool_idle_connections', 'Open connections that nobody uses.', () => sources.pool().idle],
      ['holdfast_pool_waiting', 'Statements waiting for a connection.', () => sources.pool().waiting],
      [
        'holdfast_listener_connected',
        '1 while notices of other replicas are heard.',
        () => Number(sources.listening()),
        'min'
      ],
      [
        'holdfast_sweeper_lag_seconds',
        'How late the last sweep found what was due, or how long ago the last successful sweep was.',
        sources.sweeperLagSeconds,
        'max'
      ]
    ]
  for (const [name, help, read, aggregator] of gauges) gauge(registry, name, help, read, aggregator)
}

/** Answers what reads the snapshots before each page, and what forgets them. */
function snapshotGauges(
  registry: Registry,
  sources: MetricsSources
): { read: () => Promise<void>; forget: () => void } {
  let snapshots: Awaited<ReturnType<MetricsSources['snapshots']>> | null = null
  gauge(
    registry,
    'holdfast_oldest_snapshot_seconds',
    'Age of the oldest snapshot that is held in the database, as far as our role may see.',
    () => (snapshots === null ? null : (snapshots.oldest?.ageSeconds ?? 0))
  )
  gauge(
    registry,
    'holdfast_hidden_sessions',
    'Sessions of other roles whose snapshots ours may not see.',
    () => snapshots?.hidden ?? null
  )
  return {
    async read() {
      snapshots = await sources.snapshots().catch(() => null)
    },
    forget() {
      snapshots = null
    }
  }
}

/** Answers what reads the shares before each page. */
function shareMetrics(registry: Registry, read: () => ShareReport[]): () => void {
  const registers = [registry]
  const labelled = (name: string, help: string, aggregator: Aggregator, ...labelNames: string[]) =>
    new Gauge({ name, help, aggregator, labelNames, registers })
  const total = labelled(
    'holdfast_bound',
    'What all callers together may hold of a bound on this replica.',
    'max',
    'bound'
  )
  const held = labelled('holdfast_bound_held', 'What they hold now.', 'sum', 'bound')
  const ofCaller = labelled(
    'holdfast_bound_held_by',
    'What one caller holds now, of those that hold most.',
    'sum',
    'bound',
    'caller'
  )
  const refusals = new Counter({
    name: 'holdfast_bound_refusals_total',
    help: 'Calls refused because the bound, or the share of their caller, was used up.',
    labelNames: ['bound'],
    registers
  })
  return () => {
    for (const metric of [total, held, ofCaller, refusals]) metric.reset()
    for (const report of read()) {
      const bound = report.name
      total.set({ bound }, report.total)
      held.set({ bound }, report.held)
      refusals.inc({ bound }, report.refused)
      for (const caller of report.callers) ofCaller.set({ bound, caller: caller.id }, caller.held)
    }
  }
}

function flushCounters(registry: Registry, replicaStats: ReplicaStats): void {
  const counters = {
    count: ['holdfast_flushes_total', 'Flushes of this replica that went to the database.'],
    messages: ['holdfast_flushed_messages_total', 'Messages in them.']
  } as const
  for (const [field, [name, help]] of Object.entries(counters)) {
    const counter: Counter = new Counter({
      name,
      help,
      labelNames: ['kind'],
      registers: [registry],
      collect() {
        counter.reset()
        for (const [kind, flushes] of Object.entries(replicaStats.flushes)) {
          counter.inc({ kind }, flushes[field as keyof typeof counters])
        }
      }
    })
  }
}

function staleDeletes(registry: Registry, replicaStats: ReplicaStats): void {
  const counter: Counter = new Counter({
    name: 'holdfast_stale_deletes_total',
    help: 'Deletes over SQS at this replica whose lease was over or overtaken: they deleted nothing.',
    registers: [registry],
    collect() {
      counter.reset()
      counter.inc(replicaStats.staleDeletes)
    }
  })
}

function timeHistograms(registry: Registry, { replicaStats, requestMetrics }: MetricsSources): void {
  const unlabelled = ({ buckets, sumMs }: Times) => [{ labels: {}, buckets, sumSeconds: sumMs / 1000 }]
  const doubling = replicaStats.waits.buckets.slice(1).map((_, index) => 2 ** index / 1000)
  histogram(
    registry,
    'holdfast_message_wait_seconds',
    'From the enqueue to the lease, of messages leased here that were ready from their enqueue on.',
    doubling,
    () => unlabelled(replicaStats.waits)
  )
  histogram(
    registry,
    'holdfast_message_work_seconds',
    'From the lease to the ack, of messages leased and acked here.',
    doubling,
    () => unlabelled(replicaStats.works)
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
}

/** Answers what reads the queues before each page. When the database is away, no queue is shown. */
function queueMetrics(registry: Registry, sources: MetricsSources): () => Promise<void> {
  const registers = [registry]
  const gaugeOf = (name: string, help: string, ...labels: string[]) =>
    new Gauge({ name, help, labelNames: ['queue', ...labels], registers })
  const messages = gaugeOf('holdfast_messages', 'Messages by state, a second or two old.', 'state')
  const oldest = gaugeOf(
    'holdfast_oldest_ready_seconds',
    'How long the oldest ready message has been ready; 0 when none is ready.'
  )
  const paused = gaugeOf('holdfast_queue_paused', '1 while the queue is paused: it gives no leases.')
  const reliability = gaugeOf(
    'holdfast_reliability',
    'acked / (acked + dead + expired): ' +
      'of the messages that came to an end, the share whose work was done.'
  )
  let leftOut = 0
  gauge(
    registry,
    'holdfast_queues_left_out',
    `Queues that this page does not show, because it shows at most ${metricsQueuesMax}.`,
    () => leftOut
  )
  const gauges = [messages, oldest, paused, reliability]
  const counters = new Map<string, Counter>()
  for (const total of totalNames) {
    const name = labelledTotals[total]?.name ?? total
    if (counters.has(name)) continue
    const help = Object.entries<string>(totals).find(([total]) => total === name)?.[1] ?? movedHelp
    counters.set(
      name,
      new Counter({ name: `holdfast_${name}_total`, help, labelNames: ['queue', 'by'], registers })
    )
  }
  function count(queue: string, total: Total, value: number): void {
    const labelled = labelledTotals[total]
    if (labelled === undefined) counters.get(total)!.inc({ queue }, value)
    else if (value > 0) counters.get(labelled.name)!.inc({ queue, by: labelled.by }, value)
  }

  function show({ queue, states, totals: counts, ...row }: QueueTotals, oldestSeconds: number): void {
    for (const [state, count] of Object.entries(states)) messages.set({ queue, state }, count)
    oldest.set({ queue }, oldestSeconds)
    paused.set({ queue }, Number(row.paused))
    const share = reliabilityOf({ ...counts, dead: states.dead })
    if (share !== null) reliability.set({ queue }, share)
    for (const total of totalNames) count(queue, total, counts[total])
  }

  return async () => {
    for (const metric of [...gauges, ...counters.values()]) metric.reset()
    const { queues, ...rest } = await sources.queues()
    leftOut = rest.leftOut
    const withReady = queues.filter(({ states }) => states.ready > 0).map(({ id }) => id)
    const ages = await sources.oldestReady(withReady)
    for (const queue of queues) show(queue, Math.max(0, ages.get(queue.id) ?? 0))
  }
}
