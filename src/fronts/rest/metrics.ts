/** The metrics, in the text format of Prometheus. docs/metrics.md has them all. */
import { AggregatorRegistry, collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import type { PushFigures } from '../../core/push.ts'
import type { ShareReport } from '../../core/engine/share.ts'
import type { ReplicaStats, Times } from '../../core/engine/replicaStats.ts'
import type { Siblings } from '../../core/engine/siblings.ts'
import { gauge, histogram, type Aggregator, type GaugeOptions } from './metricKinds.ts'
import { pushMetrics } from './pushMetrics.ts'
import { queueMetrics, type QueueSources } from './queueMetrics.ts'
import { answeredBoundsSeconds, type RequestMetrics } from '../shared/requestMetrics.ts'

interface MetricsSources extends QueueSources {
  siblings: Siblings
  pool: () => { total: number; idle: number; waiting: number }
  waiters: () => number
  /** Of callers. */
  connections: () => number
  listening: () => boolean
  sweeperLagSeconds: () => number
  /** What the oldest snapshot's age is, and how many sessions could not be asked. */
  snapshots: () => Promise<{ oldest: { ageSeconds: number } | null; hidden: number }>
  /** Who holds how much of each bound that callers share. */
  shares: () => ShareReport[]
  replicaStats: ReplicaStats
  requestMetrics: RequestMetrics
  push: () => PushFigures
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
  gauge(registry, {
    name: 'holdfast_database_up',
    help: '1 when the database answered for this page.',
    read: () => Number(databaseUp)
  })
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
  const gauges: GaugeOptions[] = [
    {
      name: 'holdfast_processes',
      help: 'Processes of this replica that answered for this page.',
      read: () => 1
    },
    {
      name: 'holdfast_waiting_calls',
      help: "Calls waiting for messages, or for a message's end.",
      read: sources.waiters
    },
    { name: 'holdfast_connections', help: 'Open connections of callers.', read: sources.connections },
    {
      name: 'holdfast_pool_connections',
      help: 'Open connections to the database.',
      read: () => sources.pool().total
    },
    {
      name: 'holdfast_pool_idle_connections',
      help: 'Open connections that nobody uses.',
      read: () => sources.pool().idle
    },
    {
      name: 'holdfast_pool_waiting',
      help: 'Statements waiting for a connection.',
      read: () => sources.pool().waiting
    },
    {
      name: 'holdfast_listener_connected',
      help: '1 while notices of other replicas are heard.',
      read: () => Number(sources.listening()),
      aggregator: 'min'
    },
    {
      name: 'holdfast_sweeper_lag_seconds',
      help: 'How late the last sweep found what was due, or how long ago the last successful sweep was.',
      read: sources.sweeperLagSeconds,
      aggregator: 'max'
    }
  ]
  for (const options of gauges) gauge(registry, options)
}

/** Answers what reads the snapshots before each page, and what forgets them. */
function snapshotGauges(
  registry: Registry,
  sources: MetricsSources
): { read: () => Promise<void>; forget: () => void } {
  let snapshots: Awaited<ReturnType<MetricsSources['snapshots']>> | null = null
  gauge(registry, {
    name: 'holdfast_oldest_snapshot_seconds',
    help: 'Age of the oldest snapshot that is held in the database, as far as our role may see.',
    read: () => (snapshots === null ? null : (snapshots.oldest?.ageSeconds ?? 0))
  })
  gauge(registry, {
    name: 'holdfast_hidden_sessions',
    help: 'Sessions of other roles whose snapshots ours may not see.',
    read: () => snapshots?.hidden ?? null
  })
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
  histogram(registry, {
    name: 'holdfast_message_wait_seconds',
    help: 'From the enqueue to the lease, of messages leased here that were ready from their enqueue on.',
    boundsSeconds: doubling,
    read: () => unlabelled(replicaStats.waits)
  })
  histogram(registry, {
    name: 'holdfast_message_work_seconds',
    help: 'From the lease to the ack, of messages leased and acked here.',
    boundsSeconds: doubling,
    read: () => unlabelled(replicaStats.works)
  })
  histogram(registry, {
    name: 'holdfast_http_request_seconds',
    help: 'Requests, by route and class of status, until their answer was handed over to be sent.',
    boundsSeconds: answeredBoundsSeconds,
    read: () =>
      requestMetrics.all().map(({ method, route, status, buckets, sumSeconds }) => ({
        labels: { method, route, status },
        buckets,
        sumSeconds
      }))
  })
}
