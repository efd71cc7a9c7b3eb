/** Metrics of queues. They come from the database's own ledger, so every replica tells the same. */
import { Counter, Gauge, type Registry } from 'prom-client'
import {
  labelledTotals,
  movedHelp,
  totalNames,
  totals,
  type QueueTotals,
  type Total
} from '../../core/counters.ts'
import { metricsQueuesMax } from '../../core/limits.ts'
import { reliabilityOf } from '../../core/queue.ts'
import { gauge } from './metricKinds.ts'

export interface QueueSources {
  /** At most a thousand queues, and how many there are beside them. */
  queues: () => Promise<{ queues: QueueTotals[]; leftOut: number }>
  /** How many seconds the oldest ready message of each of these queues has been ready. */
  oldestReady: (queueIds: number[]) => Promise<Map<number, number>>
}

/** Answers what reads the queues before each page. When the database is away, no queue is shown. */
export function queueMetrics(registry: Registry, sources: QueueSources): () => Promise<void> {
  let leftOut = 0
  gauge(registry, {
    name: 'holdfast_queues_left_out',
    help: `Queues that this page does not show, because it shows at most ${metricsQueuesMax}.`,
    read: () => leftOut
  })
  const states = stateGauges(registry)
  const counters = totalCounters(registry)
  return async () => {
    states.reset()
    counters.reset()
    const found = await sources.queues()
    leftOut = found.leftOut
    const withReady = found.queues.filter(({ states }) => states.ready > 0).map(({ id }) => id)
    const ages = await sources.oldestReady(withReady)
    for (const queue of found.queues) {
      states.show(queue, Math.max(0, ages.get(queue.id) ?? 0))
      counters.show(queue)
    }
  }
}

/** What holds of a queue at this moment. */
function stateGauges(registry: Registry) {
  const gaugeOf = (name: string, help: string, ...labels: string[]) =>
    new Gauge({ name, help, labelNames: ['queue', ...labels], registers: [registry] })
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
  return {
    reset() {
      for (const metric of [messages, oldest, paused, reliability]) metric.reset()
    },
    show({ queue, states, totals, paused: isPaused }: QueueTotals, oldestSeconds: number): void {
      for (const [state, count] of Object.entries(states)) messages.set({ queue, state }, count)
      oldest.set({ queue }, oldestSeconds)
      paused.set({ queue }, Number(isPaused))
      const share = reliabilityOf({ ...totals, dead: states.dead })
      if (share !== null) reliability.set({ queue }, share)
    }
  }
}

/** What has happened in a queue since it was made. Some totals are one counter, told apart by a label. */
function totalCounters(registry: Registry) {
  const counters = new Map<string, Counter>()
  for (const total of totalNames) {
    const name = labelledTotals[total]?.name ?? total
    if (counters.has(name)) continue
    const help = Object.entries<string>(totals).find(([total]) => total === name)?.[1] ?? movedHelp
    const labelNames = ['queue', 'by']
    counters.set(
      name,
      new Counter({ name: `holdfast_${name}_total`, help, labelNames, registers: [registry] })
    )
  }
  const count = (queue: string, total: Total, value: number) => {
    const labelled = labelledTotals[total]
    if (labelled === undefined) counters.get(total)!.inc({ queue }, value)
    else if (value > 0) counters.get(labelled.name)!.inc({ queue, by: labelled.by }, value)
  }
  return {
    reset() {
      for (const counter of counters.values()) counter.reset()
    },
    show({ queue, totals }: QueueTotals): void {
      for (const total of totalNames) count(queue, total, totals[total])
    }
  }
}
