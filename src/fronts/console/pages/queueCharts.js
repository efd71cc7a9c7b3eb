/** The last hour of a queue in three charts. */
import { html, useEffect, useState } from './vendor/htm.js'
import { call, queuePath } from './api.js'
import { Chart } from './chart.js'
import { ProblemNote } from './ui.js'

const readMs = 30_000

/** Reads the last hour now, every half minute, and when the tab is shown again. */
function useSeries(queue) {
  const [series, setSeries] = useState(/** @type {any} */ (null))
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  useEffect(() => {
    const read = () => {
      if (document.hidden) return
      call('GET', `${queuePath(queue)}/series`).then(series => {
        setSeries(series)
        setProblem(null)
      }, setProblem)
    }
    read()
    const timer = setInterval(read, readMs)
    document.addEventListener('visibilitychange', read)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', read)
    }
  }, [queue])
  return { series, problem }
}

export function QueueCharts({ queue }) {
  const { series, problem } = useSeries(queue)
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
