/** Kinds of metrics that are read for each page, and counted elsewhere. */
import { Gauge, type Registry } from 'prom-client'

export type Value = number | null

/** How the values of several processes become one. */
export type Aggregator = 'sum' | 'min' | 'max'

/** A gauge that is read for each page; null leaves it out. */
export function gauge(
  registry: Registry,
  name: string,
  help: string,
  read: () => Value | Promise<Value>,
  aggregator: Aggregator = 'sum'
): void {
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
  buckets: number[]
  sumSeconds: number
}

/**
 * A histogram that is counted elsewhere: `buckets` has an element for each bound and one for what is
 * beyond the last.
 */
export function histogram(
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
