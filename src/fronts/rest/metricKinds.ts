/** Kinds of metrics that are read for each page, and counted elsewhere. */
import { Gauge, type Registry } from 'prom-client'

/** How the values of several processes become one. */
export type Aggregator = 'sum' | 'min' | 'max'

export interface GaugeOptions {
  name: string
  help: string
  /** null: it is left out. */
  read: () => number | null | Promise<number>
  /** Default `sum`. */
  aggregator?: Aggregator
}

/** A gauge that is read for each page. */
export function gauge(registry: Registry, { name, help, read, aggregator = 'sum' }: GaugeOptions): void {
  const metric: Gauge = new Gauge({
    name,
    help,
    aggregator,
    registers: [registry],
    async collect() {
      const value = await read()
      if (value === null) metric.reset()
      else metric.set(value)
    }
  })
}

interface HistogramValues {
  labels: Record<string, string>
  /** An element for each bound, and one for what is beyond the last. */
  buckets: number[]
  sumSeconds: number
}

interface HistogramOptions {
  name: string
  help: string
  boundsSeconds: number[]
  read: () => HistogramValues[]
}

/** A histogram that is counted elsewhere. */
export function histogram(registry: Registry, { name, help, boundsSeconds, read }: HistogramOptions): void {
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
