/** One queue: its counts, its last hour, its settings, its messages, and what can be done to it. */
import { html, useEffect, useState } from './vendor/htm.js'
import { enqueueCommand, get, queuePath } from './api.js'
import { Consumers } from './consumers.js'
import { FailureGroups } from './failures.js'
import { Groups } from './groups.js'
import { useAnswer } from './hooks.js'
import { live } from './live.js'
import { Messages } from './messages.js'
import { Push } from './push.js'
import { QueueActions } from './queueActions.js'
import { QueueCharts } from './queueCharts.js'
import { QueueFigures, SettingsLine } from './queueFigures.js'
import { may } from './rights.js'
import { Sources } from './sources.js'
import { states } from './states.js'
import { Badge, Command, LiveMark, ProblemNote } from './ui.js'

const rateReadMs = 5000

/** The live figures of the queue: undefined until they come, null when there is no queue. */
function useLiveRow(queue) {
  const [row, setRow] = useState(/** @type {any} */ (undefined))
  const [liveState, setLiveState] = useState(/** @type {import('./live.js').LiveState} */ ('connecting'))
  useEffect(
    () => live(`/console/live/${encodeURIComponent(queue)}`, ({ row }) => setRow(row), setLiveState),
    [queue]
  )
  return { row, liveState }
}

/**
 * What the service reports of the queue: read again after each change made here, and when the queue
 * is paused, made or deleted elsewhere. The limits of a queue with a rate change all the time, so its
 * report is read again and again.
 */
function useReport(queue, version, row) {
  const [hasRate, setHasRate] = useState(false)
  const read = async () => {
    const report = await get(queuePath(queue))
    setHasRate(report.settings.rate !== null)
    return report
  }
  const inputs = [queue, version, row?.paused, row === null]
  return useAnswer(read, { inputs, everyMs: hasRate ? rateReadMs : null })
}

/** The counts by state: the live ones where they are known. */
function countsOf(report, row) {
  const newest = row ?? report.counts
  return Object.fromEntries(states.map(state => [state, newest[state]]))
}

export function QueuePage({ queue, query }) {
  const [version, setVersion] = useState(0)
  const { row, liveState } = useLiveRow(queue)
  const { answer: report, problem } = useReport(queue, version, row)
  const onChange = () => setVersion(n => n + 1)
  if (problem?.code === 'queueNotFound') {
    return html`<${QueueFrame} queue=${queue}><${MissingQueue} queue=${queue} /></${QueueFrame}>`
  }
  if (report === null) {
    return html`<${QueueFrame} queue=${queue}>
      <${ProblemNote} problem=${problem} again=${onChange} />
    </${QueueFrame}>`
  }
  const { settings } = report
  const counts = countsOf(report, row)
  const paused = row ? row.paused : settings.paused
  const heading = html`
    ${paused && html`<${Badge} kind="paused" />`}
    <${LiveMark} state=${liveState} />
    <span class="spacer"></span>
    <${QueueActions}
      queue=${queue}
      paused=${paused}
      settings=${settings}
      counts=${counts}
      onChange=${onChange}
    />
  `
  return html`<${QueueFrame} queue=${queue} heading=${heading}>
    <${QueueFigures} counts=${counts} report=${report} row=${row} />
    <${QueueCharts} queue=${queue} />
    <${SettingsLine} settings=${settings} />
    <${Sources} queue=${queue} version=${version} />
    <${FailureGroups} queue=${queue} counts=${counts} version=${version} onChange=${onChange} />
    ${
      hasGroups(settings) &&
      html`<${Groups}
        queue=${queue}
        ordered=${settings.ordering !== 'none'}
        leasedMax=${settings.maxLeasedPerGroup}
      />`
    }
    <${Consumers} queue=${queue} />
    ${may('manage', queue) && html`<${Push} queue=${queue} />`}
    <${Messages} queue=${queue} counts=${counts} query=${query} version=${version} />
  </${QueueFrame}>`
}

/** Whether messages of the queue wait for others of their group. */
const hasGroups = ({ ordering, fairness, maxLeasedPerGroup, ratePerGroup }) =>
  ordering !== 'none' || fairness !== 'none' || maxLeasedPerGroup !== null || ratePerGroup !== null

/** The page with its heading. */
function QueueFrame({ queue, heading, children }) {
  return html`<main class="page">
    <p class="crumbs"><a href="#/">Queues</a> /</p>
    <div class="heading">
      <h1>${queue}</h1>
      ${heading}
    </div>
    ${children}
  </main>`
}

function MissingQueue({ queue }) {
  return html`<div class="empty">
    <h2>There is no such queue</h2>
    <p>It may have been deleted, or this key has no right to it. The first message to a queue creates it.</p>
    <${Command} text=${enqueueCommand(queue, '{}')} />
  </div>`
}
