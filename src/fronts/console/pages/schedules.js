/** Schedules: when each enqueues what, made, changed, paused, run now and deleted. */
import { html, useEffect, useState } from './vendor/htm.js'
import { queueAddress } from './address.js'
import { call, callText, may, mayAnywhere } from './api.js'
import { ago, time } from './format.js'
import { Field, headersOf, jsonFault } from './forms.js'
import { readBodies } from './json.js'
import { above, Badge, closeDialog, confirm, Dialog, Empty, ProblemNote } from './ui.js'

const againMs = 10_000
const path = name => `/schedules/${encodeURIComponent(name)}`

export function SchedulesPage() {
  const [schedules, setSchedules] = useState(/** @type {any[] | null} */ (null))
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const read = () =>
    readAll().then(schedules => {
      setSchedules(schedules)
      setProblem(null)
    }, setProblem)
  useEffect(() => {
    read()
    const timer = setInterval(() => {
      if (!document.hidden) read()
    }, againMs)
    return () => clearInterval(timer)
  }, [])
  const open = schedule => above.dialog(html`<${ScheduleDialog} schedule=${schedule} onDone=${read} />`)
  const edit = name => readOne(name).then(open, error => above.toast(error.message, true))
  return html`<main class="page">
    <div class="heading">
      <h1>Schedules</h1>
      <span class="spacer"></span>
      <button class="quiet" data-key="r" onClick=${read} title="Load again (r)">Load again</button>
      ${mayAnywhere('manage') && html`<button class="primary" data-key="n" onClick=${() => open(null)}>New schedule</button>`}
    </div>
    <${ProblemNote} problem=${problem} again=${read} />
    ${schedules?.length === 0 && html`<${Empty} title="No schedule yet">A schedule enqueues a message at the times of a cron line: <code>0 7 * * 1-5</code> is seven o'clock on working days, in a time zone of your choice. Every time is kept once for all replicas.</${Empty}>`}
    <div class="cards">
      ${schedules?.map(schedule => html`<${ScheduleCard} key=${schedule.name} schedule=${schedule} onEdit=${() => edit(schedule.name)} onDone=${read} />`)}
    </div>
  </main>`
}

async function readAll() {
  const all = []
  for (let cursor = ''; ;) {
    const page = await call(
      'GET',
      `/schedules?limit=1000${cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`}`
    )
    all.push(...page.schedules)
    if (page.cursor === null) return all
    cursor = page.cursor
  }
}

/** With its message and five times. */
const readOne = async name => readBodies(await callText('GET', path(name)), 'schedules')

const ends = {
  enqueued: 'enqueued',
  skipped: 'missed, and skipped',
  queueNotFound: 'failed: the queue is not there',
  queueFull: 'failed: the queue was full',
  invalidSchedule: 'failed: the time zone or the cron line is not known here'
}

function ScheduleCard({ schedule, onEdit, onDone }) {
  const { name, queue, cron, timezone, paused, lastRun, updatedAt } = schedule
  const [more, setMore] = useState(false)
  const [nextRuns, setNextRuns] = useState(schedule.nextRuns)
  useEffect(() => {
    setNextRuns(schedule.nextRuns)
    if (more) {
      readOne(name).then(
        ({ nextRuns }) => setNextRuns(nextRuns),
        () => {}
      )
    }
  }, [more, updatedAt, schedule.nextRuns[0]])
  const manage = may('manage', queue)
  const done = text => () => {
    above.toast(text)
    onDone()
  }
  const failed = error => above.toast(error.message, true)
  const runNow = () =>
    confirm({
      title: `Run ${name} now?`,
      text: `One message is enqueued to ${queue} at once, beside the times of the schedule.`,
      yes: 'Run now',
      act: async () => {
        await call('POST', `${path(name)}/run`)
        done(`${name} has run.`)()
      }
    })
  const remove = () =>
    confirm({
      title: `Delete ${name}?`,
      text: 'It enqueues nothing more. The messages it has enqueued stay.',
      yes: 'Delete the schedule',
      danger: true,
      act: async () => {
        await call('DELETE', path(name))
        done(`${name} is deleted.`)()
      }
    })
  const pause = () =>
    call('PUT', path(name), { paused: !paused }).then(
      done(paused ? `${name} goes on.` : `${name} is paused.`),
      failed
    )
  return html`<article class="card" data-row aria-label=${name}>
    <header>
      <h2>${name}</h2>
      ${paused && html`<${Badge} kind="paused" />`}<span class="spacer"></span>
      ${manage && html`<button onClick=${runNow}>Run now …</button><button onClick=${pause}>${paused ? 'Resume' : 'Pause'}</button><button onClick=${onEdit}>Edit</button><button class="danger" onClick=${remove}>Delete …</button>`}
    </header>
    <p>
      <code class="cron">${cron}</code> ${timezone} →${' '}
      <a class="row-link" href=${queueAddress(queue)}>${queue}</a>
    </p>
    <div class="runs">
      <div>
        <h3>Next</h3>
        ${
          paused
            ? html`<p class="hint">None while it is paused.</p>`
            : html`<ol>
                  ${nextRuns.map(at => html`<li><time datetime=${at}>${time(at)}</time> <span class="hint">${ago(at)}</span></li>`)}
                </ol>
                <button class="link" aria-expanded=${more} onClick=${() => setMore(!more)}>
                  ${more ? 'Only the next' : 'The next five'}
                </button>`
        }
      </div>
      <div>
        <h3>Last</h3>
        ${lastRun ? html`<p><time datetime=${lastRun.at}>${time(lastRun.at)}</time> <span class=${lastRun.outcome === 'enqueued' ? 'hint' : 'warn'}>${ends[lastRun.outcome] ?? lastRun.outcome}</span>${lastRun.messageId && html` <a href="${queueAddress(queue)}/messages/${lastRun.messageId}">message ${lastRun.messageId}</a>`}</p>` : html`<p class="hint">It has not run yet.</p>`}
      </div>
    </div>
  </article>`
}

function ScheduleDialog({ schedule, onDone }) {
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const [busy, setBusy] = useState(false)
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone
  const save = async event => {
    event.preventDefault()
    const form = new FormData(event.target)
    const text = name => String(form.get(name) ?? '').trim()
    const body = String(form.get('body'))
    const fault = jsonFault(body)
    if (fault !== null) {
      return setProblem({ message: '', errors: [{ pointer: '/body', message: `is not JSON: ${fault}` }] })
    }
    const change = {
      queue: text('queue'),
      cron: text('cron'),
      timezone: text('timezone'),
      missed: text('missed'),
      headers: headersOf(text('headers')),
      ...(text('priority') !== '' && { priority: Number(text('priority')) })
    }
    setBusy(true)
    try {
      const name = schedule?.name ?? text('name')
      await callText('PUT', path(name), `{"body":${body},${JSON.stringify(change).slice(1)}`)
      closeDialog()
      above.toast(`${name} is ${schedule === null ? 'made' : 'changed'}.`)
      onDone()
    } catch (error) {
      setProblem(error)
      setBusy(false)
    }
  }
  const pointers = [
    'path/schedule',
    '/queue',
    '/cron',
    '/timezone',
    '/body',
    '/headers',
    '/priority',
    '/missed'
  ]
  const elsewhere =
    problem !== null &&
    problem.message !== '' &&
    !problem.errors.some(({ pointer }) => pointers.includes(pointer))
  const field = (name, label, value, hint, more = {}) =>
    html`<${Field} label=${label} hint=${hint} pointer=${name === 'name' ? 'path/schedule' : `/${name}`} problem=${problem}><input name=${name} defaultValue=${value} autocomplete="off" spellcheck=${false} ...${more} /></${Field}>`
  const headers = Object.entries(schedule?.headers ?? {})
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n')
  return html`<${Dialog} title=${schedule === null ? 'New schedule' : `Schedule ${schedule.name}`} wide>
    <form onSubmit=${save} noValidate>
      <div class="grid">
        ${schedule === null && field('name', 'Name', '', 'It cannot be changed later.', { autofocus: true })}
        ${field('queue', 'Queue', schedule?.queue ?? '', 'Where it enqueues.')}
        ${field('cron', 'Cron', schedule?.cron ?? '0 7 * * *', 'Minute, hour, day of the month, ' + 'month, weekday; or @daily and ' + 'the like.', { class: 'mono', autofocus: schedule !== null })}
        ${field('timezone', 'Time zone', schedule?.timezone ?? zone, 'Such as Europe/Berlin.')}
        <${Field} label="Times missed in an outage" pointer="/missed" problem=${problem}><select name="missed">${[
          ['once', 'are made up for by one message'],
          ['skip', 'are skipped']
        ].map(
          ([value, title]) =>
            html`<option value=${value} selected=${value === (schedule?.missed ?? 'once')}>${title}</option>`
        )}</select></${Field}>
        ${field('priority', 'Priority', String(schedule?.priority ?? ''), '0 to 9, higher first; 4 if left out.', { inputmode: 'numeric' })}
      </div>
      <${Field} label="Body" pointer="/body" problem=${problem} hint="JSON; it arrives exactly as typed."><textarea name="body" rows="5" spellcheck=${false} defaultValue=${schedule?.bodyText ?? '{}'}></textarea></${Field}>
      <${Field} label="Headers" pointer="/headers" problem=${problem} hint="One a line, as name: value."><textarea name="headers" rows="2" spellcheck=${false} defaultValue=${headers}></textarea></${Field}>
      <${ProblemNote} problem=${elsewhere ? problem : null} />
      <footer><button type="button" onClick=${closeDialog}>Cancel</button><button class="primary" disabled=${busy}>${schedule === null ? 'Make it' : 'Save'}</button></footer>
    </form>
  </${Dialog}>`
}
