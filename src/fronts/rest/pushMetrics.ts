/** Metrics of pushes: what became of deliveries, how long they took, and which queues are slowed. */
import { Counter, type Registry } from 'prom-client'
import type { PushFigures } from '../../core/push.ts'
import { gauge, histogram } from './metricKinds.ts'

/** Registers them. `read` gives the figures of this process. */
export function pushMetrics(registry: Registry, read: () => PushFigures): void {
  const deliveries: Counter = new Counter({
    name: 'holdfast_push_deliveries_total',
    help: 'Push requests of this replica that have ended, by what became of them.',
    labelNames: ['outcome'],
    registers: [registry],
    collect() {
      deliveries.reset()
      for (const [outcome, count] of Object.entries(read().deliveries)) deliveries.inc({ outcome }, count)
    }
  })
  histogram(registry, {
    name: 'holdfast_push_seconds',
    help: 'How long push requests took, until their answer or their failure.',
    boundsSeconds: read().boundsSeconds,
    read: () => {
      const { buckets, sumSeconds } = read()
      return [{ labels: {}, buckets, sumSeconds }]
    }
  })
  gauge(registry, {
    name: 'holdfast_push_requests',
    help: 'Push requests under way.',
    read: () => read().underway
  })
  gauge(registry, {
    name: 'holdfast_push_slowed_queues',
    help: 'Queues whose endpoint fails, so that their deliveries are slowed down.',
    read: () => read().slowed
  })
}
