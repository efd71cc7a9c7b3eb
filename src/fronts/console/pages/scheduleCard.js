/** One schedule: when it runs, how its last run ended, and what can be done to it. */
import { html, useEffect, useState } from './vendor/htm.js'
import { messageAddress, queueAddress } from './address.js'
import { time } from './clock.js'
import { above, confirm } from './dialog.js'
import { ago } from './format.js'
import { may } from './rights.js'
import { readSchedule, schedulePath } from './scheduleCalls.js'
import { limits } from './tables.js'
import { Badge } from './ui.js'

const endings = {
  enqueued: 'enqueued',
  skipped: 'missed and skipped',
  rateLimited: 'failed: the key that owns it had used up its rate',
  queueNotFound: 'failed: there is no such queue',
  tooManyQueues: 'failed: the key that owns it may make no more queues',
  bodyTooLarge: 'failed: the body is larger than the queue takes',
  queueFull: 'failed: the queue was full',
  invalidSchedule: 'failed: the service does not know the time zone or the cron expression'
}

export function ScheduleCard({ schedule, onEdit, onDone }) {
  const { name, queue, cron, timezone, paused, owner, lastRun } = schedule
  const manage = may('manage', queue)
  return html`<article class="card" data-row aria-label=${name}>
    <header>
      <h2>${name}</h2>
      ${paused && html`<${Badge} kind="paused" />`}
      <span class="spacer"></span>
      ${manage && html`<${ScheduleButtons} schedule=${schedule} onEdit=${onEdit} onDone=${onDone} />`}
    </header>
    <p>
      <code class="cron">${cron}</code> ${timezone} →${' '}
      <a class="row-link" href=${queueAddress(queue)}>${queue}</a>
      ${owner && html` <span class="hint">with key ${owner.name} (${owner.id})</span>`}
    </p>
    <div class="runs">
      <div>
        <h3>Next</h3>
        <${NextRuns} schedule=${schedule} />
      </div>
      <div>
        <h3>Last</h3>
        ${
          lastRun
            ? html`<${LastRun} schedule=${schedule} run=${lastRun} />`
            : html`<p class="hint">It has not run yet.</p>`
        }
      </div>
    </div>
  </article>`
}

function askToRun({ name, queue }, onDone) {
  confirm({
    title: `Run ${name} now?`,
    text: `This enqueues one message to queue ${queue} now. The next runs stay as they are.`,
    yes: 'Run now',
    requests: [{ method: 'POST', path: `${schedulePath(name)}/run` }],
    onDone: () => {
      above.toast(`Schedule ${name} has run.`)
      onDone()
    }
  })
}

function askToDelete({ name }, onDone) {
  confirm({
    title: `Delete ${name}?`,
    text: 'It enqueues no more messages. The messages it has enqueued stay.',
    yes: 'Delete schedule',
    danger: true,
    requests: [{ method: 'DELETE', path: schedulePath(name) }],
    onDone: () => {
      above.toast(`Schedule ${name} deleted.`)
      onDone()
    }
  })
}

function askToPause({ name, paused }, onDone) {
  confirm({
    title: paused ? `Resume ${name}?` : `Pause ${name}?`,
    text: paused
      ? 'It runs again from now on. Runs that it missed while it was paused are not made up for.'
      : 'It enqueues no messages until it is resumed. Runs that it misses are not made up for.',
    yes: paused ? 'Resume' : 'Pause',
    requests: [{ method: 'PUT', path: schedulePath(name), body: { paused: !paused } }],
    onDone: () => {
      above.toast(`Schedule ${name} ${paused ? 'resumed' : 'paused'}.`)
      onDone()
    }
  })
}

function ScheduleButtons({ schedule, onEdit, onDone }) {
  const pauseOrResume = schedule.paused ? 'Resume' : 'Pause'
  return html`
    <button onClick=${() => askToRun(schedule, onDone)}>Run now …</button>
    <button onClick=${() => askToPause(schedule, onDone)}>${pauseOrResume} …</button>
    <button onClick=${onEdit}>Edit</button>
    <button class="danger" onClick=${() => askToDelete(schedule, onDone)}>Delete …</button>
  `
}

/** The next run. Those after it are read when the reader asks for them. */
function NextRuns({ schedule: { name, paused, timezone, updatedAt, nextRuns } }) {
  const [more, setMore] = useState(false)
  const [runs, setRuns] = useState(nextRuns)
  useEffect(() => {
    setRuns(nextRuns)
    if (!more) return
    readSchedule(name).then(
      schedule => setRuns(schedule.nextRuns),
      () => {}
    )
  }, [more, updatedAt, nextRuns[0]])
  if (paused) return html`<p class="hint">No runs while it is paused.</p>`
  return html`
    <ol>
      ${runs.map(at => html`<li><${RunTime} at=${at} timezone=${timezone} /></li>`)}
    </ol>
    <button class="link" aria-expanded=${more} onClick=${() => setMore(!more)}>
      ${more ? 'Show only the next' : `Show the next ${limits.nextRunsMax}`}
    </button>
  `
}

/** The time on the clock of the schedule, then on the clock of the pages where that is another. */
function RunTime({ at, timezone }) {
  const [itsTime, shownTime] = [timeOfSchedule(at, timezone), time(at)]
  const also = shownTime === itsTime ? '' : `${shownTime} · `
  return html`<time datetime=${at}>${itsTime}</time> <span class="hint">${also}${ago(at)}</span>`
}

/** A zone that the service knows and the browser does not is shown on the clock of the pages. */
function timeOfSchedule(at, timezone) {
  try {
    return time(at, timezone)
  } catch {
    return time(at)
  }
}

function LastRun({ schedule: { queue, timezone }, run: { at, outcome, messageId } }) {
  const kind = outcome === 'enqueued' ? 'hint' : 'warn'
  return html`<p>
    <${RunTime} at=${at} timezone=${timezone} /> <span class=${kind}>${endings[outcome] ?? outcome}</span>
    ${messageId && html` <a href=${messageAddress(queue, messageId)}>message ${messageId}</a>`}
  </p>`
}
