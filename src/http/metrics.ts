/** The metrics, in the text format of Prometheus. Those of queues come from the database's own ledger, so every replica tells the same. */
import { collectDefaultMetrics, Counter, Gauge, Registry } from 'prom-client'
import { reliabilityOf } from '../core/queue.ts'

/** One queue's folded counts: messages by state, and totals since the queue was made. */
export interface QueueTotals { queue: string, states: Record<string, number>, totals: Record<string, number> }

export interface MetricsSources {
  pool: () => { total: number, idle: number, waiting: number }
  waiters: () => number
  /** Of callers. */
  connections: () => Promise<number>
  listening: () => boolean
  /** At most a thousand queues, by name. */
  queues: () => Promise<QueueTotals[]>
}

const totalsHelp = {
  enqueued: 'Messages stored.',
  leased: 'Leases given.',
  acked: 'Messages acked.',
  failed: 'Attempts ended by a fail.',
  lapsed: 'Attempts ended by the end of their lease.',
  released: 'Leases given back.',
  dead: 'Messages that became dead.',
  redriven: 'Dead messages made ready again.',
  expired: 'Messages removed at the end of their time to live or retention.',
  purged: 'Messages removed by a purge or a cancel.'
} as const

export function createMetrics (sources: MetricsSources): () => Promise<string> {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const registers = [registry]
  const gauge = (name: string, help: string, read: () => number | Promise<number>) => new Gauge({ name, help, registers, async collect () { this.set(await read()) } })
  gauge('holdfast_waiting_calls', 'Calls waiting for messages on this replica.', sources.waiters)
  gauge('holdfast_connections', 'Open connections of callers.', sources.connections)
  gauge('holdfast_pool_connections', 'Open connections to the database.', () => sources.pool().total)
  gauge('holdfast_pool_idle_connections', 'Open connections that nobody uses.', () => sources.pool().idle)
  gauge('holdfast_pool_waiting', 'Statements waiting for a connection.', () => sources.pool().waiting)
  gauge('holdfast_listener_connected', '1 while notices of other replicas are heard.', () => Number(sources.listening()))
  const messages = new Gauge({ name: 'holdfast_messages', help: 'Messages by state, a second or two old.', labelNames: ['queue', 'state'], registers })
  const reliability = new Gauge({ name: 'holdfast_reliability', help: 'acked / (acked + dead + expired): of the messages that came to an end, the share whose work was done.', labelNames: ['queue'], registers })
  const counters = Object.entries(totalsHelp).map(([name, help]) => [name, new Counter({ name: `holdfast_${name}_total`, help, labelNames: ['queue'], registers })] as const)

  return async () => {
    for (const metric of [messages, reliability, ...counters.map(([, counter]) => counter)]) metric.reset()
    for (const { queue, states, totals } of await sources.queues().catch(() => [])) {
      for (const [state, count] of Object.entries(states)) messages.set({ queue, state }, count)
      const share = reliabilityOf({ acked: totals.acked!, dead: states.dead!, expired: totals.expired! })
      if (share !== null) reliability.set({ queue }, share)
      for (const [name, counter] of counters) counter.inc({ queue }, totals[name]!)
    }
    return await registry.metrics()
  }
}
