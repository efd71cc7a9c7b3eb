/** The last hour of a queue in three charts. */
import { html } from './vendor/htm.js'
import { get, queuePath } from './api.js'
import { Chart } from './chart.js'
import { useAnswer } from './hooks.js'
import { ProblemNote } from './ui.js'

/** The service adds a step to the series this often. */
const stepMs = 30_000

export function QueueCharts({ queue }) {
  const read = () => get(`${queuePath(queue)}/series`)
  const { answer: series, problem } = useAnswer(read, { inputs: [queue], everyMs: stepMs })
  if (series === null) {
    return html`<${ProblemNote} problem=${problem} />
      <div class="charts waiting"></div>`
  }
  const messages = [
    { label: 'Ready', kind: 'ready', values: series.ready },
    { label: 'Leased', kind: 'leased', values: series.leased },
    { label: 'Dead', kind: 'dead', values: series.dead }
  ]
  const rates = [
    { label: 'Enqueued', kind: 'ready', values: series.enqueuedPerSecond },
    { label: 'Acked', kind: 'acked', values: series.ackedPerSecond },
    { label: 'Failed', kind: 'dead', values: series.failedPerSecond }
  ]
  const waits = [
    { label: 'Half within', kind: 'delayed', values: series.waitSecondsP50 },
    { label: '95 % within', kind: 'leased', values: series.waitSecondsP95 }
  ]
  return html`<div class="charts">
    <${Chart} title="Messages" unit="count" at=${series.at} lines=${messages} />
    <${Chart} title="Per second" unit="rate" at=${series.at} lines=${rates} />
    <${Chart} title="Waiting time" unit="duration" at=${series.at} lines=${waits} />
  </div>`
}
