/** The form of a schedule. */
import { html } from './vendor/htm.js'
import { perform } from './api.js'
import { ownTimeZone } from './clock.js'
import { CopyCurl } from './curl.js'
import { above, closeDialog, Dialog, useSubmit } from './dialog.js'
import {
  checkJson,
  Field,
  FormEnd,
  HeadersField,
  headersOf,
  linesOf,
  numberOf,
  OptionField,
  TextField,
  typed
} from './forms.js'
import { withBody } from './json.js'
import { schedulePath } from './scheduleCalls.js'
import { options } from './tables.js'

const fields = ['queue', 'cron', 'timezone', 'body', 'headers', 'priority', 'missed']
const pointers = ['path/schedule', ...fields.map(name => `/${name}`)]

const missedChoices = [
  ['once', 'One message for all of them'],
  ['skip', 'No message']
]
const cronHint = 'Minute, hour, day of the month, month, weekday. Or a word such as @daily.'

/**
 * The schedule as the service takes it.
 * @param {FormData} form
 */
function scheduleOf(form) {
  const body = String(form.get('body'))
  checkJson(body)
  const priority = typed(form, 'priority')
  return withBody(body, {
    queue: typed(form, 'queue'),
    cron: typed(form, 'cron'),
    timezone: typed(form, 'timezone'),
    missed: typed(form, 'missed'),
    headers: headersOf(typed(form, 'headers')),
    ...(priority !== '' && { priority: numberOf(priority) })
  })
}

/** Changes a schedule, or makes a new one where `schedule` is null. */
export function ScheduleDialog({ schedule, onDone }) {
  const isNew = schedule === null
  const nameOf = form => schedule?.name ?? typed(form, 'name')
  const requestOf = form => ({ method: 'PUT', path: schedulePath(nameOf(form)), body: scheduleOf(form) })
  const { busy, problem, onSubmit } = useSubmit(async formElement => {
    const form = new FormData(formElement)
    const name = nameOf(form)
    await perform(requestOf(form))
    closeDialog()
    above.toast(`Schedule ${name} ${isNew ? 'created' : 'saved'}.`)
    onDone()
  })
  return html`<${Dialog} title=${isNew ? 'New schedule' : `Schedule ${schedule.name}`} wide>
    <form onSubmit=${onSubmit} noValidate>
      <${TimeFields} schedule=${schedule} problem=${problem} />
      <${BodyField} text=${schedule?.bodyText ?? '{}'} problem=${problem} />
      <${HeadersField} value=${linesOf(schedule?.headers)} problem=${problem} />
      <${CopyCurl} requestsOf=${form => [requestOf(form)]} />
      <${FormEnd} problem=${problem} pointers=${pointers} yes=${isNew ? 'Create' : 'Save'} busy=${busy} />
    </form>
  </${Dialog}>`
}

function TimeFields({ schedule, problem }) {
  const isNew = schedule === null
  const { queue = '', cron = '0 7 * * *', timezone = ownTimeZone(), priority = '' } = schedule ?? {}
  const queueHint = 'It enqueues to this queue.'
  const zoneHint = 'Such as Europe/Berlin.'
  return html`<div class="grid">
    ${isNew && html`<${NameField} problem=${problem} />`}
    <${TextField} name="queue" label="Queue" value=${queue} hint=${queueHint} problem=${problem} />
    <${TextField}
      name="cron"
      label="Cron"
      value=${cron}
      hint=${cronHint}
      problem=${problem}
      class="mono"
      autofocus=${!isNew}
    />
    <${TextField} name="timezone" label="Time zone" value=${timezone} hint=${zoneHint} problem=${problem} />
    <${MissedField} missed=${schedule?.missed ?? 'once'} problem=${problem} />
    <${OptionField} row=${options.priority} value=${String(priority)} problem=${problem} />
  </div>`
}

function NameField({ problem }) {
  const hint = 'The name cannot be changed later.'
  return html`<${TextField}
    name="name"
    label="Name"
    hint=${hint}
    pointer="path/schedule"
    problem=${problem}
    autofocus
  />`
}

function MissedField({ missed, problem }) {
  return html`<${Field} label="Runs missed in an outage" pointer="/missed" problem=${problem}>
    <select name="missed">
      ${missedChoices.map(
        ([value, title]) => html`<option value=${value} selected=${value === missed}>${title}</option>`
      )}
    </select>
  </${Field}>`
}

function BodyField({ text, problem }) {
  const hint = 'JSON. Workers get it exactly as typed.'
  return html`<${Field} label="Body" pointer="/body" problem=${problem} hint=${hint}>
    <textarea name="body" rows="5" spellcheck=${false} defaultValue=${text}></textarea>
  </${Field}>`
}
