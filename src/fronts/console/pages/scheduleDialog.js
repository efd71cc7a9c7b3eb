/** The form of a schedule. */
import { html } from './vendor/htm.js'
import { callText } from './api.js'
import { ownTimeZone } from './clock.js'
import { above, closeDialog, Dialog, useSubmit } from './dialog.js'
import { checkJson, Field, FormEnd, HeadersField, headersOf, OptionField, typed } from './forms.js'
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
  const rest = JSON.stringify({
    queue: typed(form, 'queue'),
    cron: typed(form, 'cron'),
    timezone: typed(form, 'timezone'),
    missed: typed(form, 'missed'),
    headers: headersOf(typed(form, 'headers')),
    ...(priority !== '' && { priority: Number(priority) })
  })
  // The body is put in as text: reading and writing it again would change its numbers.
  return `{"body":${body},${rest.slice(1)}`
}

/**
 * Headers as lines of `name: value`.
 * @param {Record<string, string>} headers
 */
const linesOf = headers =>
  Object.entries(headers)
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n')

/** Changes a schedule, or makes a new one where `schedule` is null. */
export function ScheduleDialog({ schedule, onDone }) {
  const isNew = schedule === null
  const { busy, problem, onSubmit } = useSubmit(async formElement => {
    const form = new FormData(formElement)
    const name = schedule?.name ?? typed(form, 'name')
    await callText('PUT', schedulePath(name), scheduleOf(form))
    closeDialog()
    above.toast(`Schedule ${name} ${isNew ? 'created' : 'saved'}.`)
    onDone()
  })
  return html`<${Dialog} title=${isNew ? 'New schedule' : `Schedule ${schedule.name}`} wide>
    <form onSubmit=${onSubmit} noValidate>
      <${TimeFields} schedule=${schedule} problem=${problem} />
      <${BodyField} text=${schedule?.bodyText ?? '{}'} problem=${problem} />
      <${HeadersField} value=${linesOf(schedule?.headers ?? {})} problem=${problem} />
      <${FormEnd} problem=${problem} pointers=${pointers} yes=${isNew ? 'Create' : 'Save'} busy=${busy} />
    </form>
  </${Dialog}>`
}

function TimeFields({ schedule, problem }) {
  const isNew = schedule === null
  const { queue = '', cron = '0 7 * * *', timezone = ownTimeZone(), priority = '' } = schedule ?? {}
  const text = (name, label, value, hint, more = {}) =>
    html`<${TextField} ...${{ name, label, value, hint, problem, ...more }} />`
  return html`<div class="grid">
    ${isNew && html`<${NameField} problem=${problem} />`}
    ${text('queue', 'Queue', queue, 'It enqueues to this queue.')}
    ${text('cron', 'Cron', cron, cronHint, { class: 'mono', autofocus: !isNew })}
    ${text('timezone', 'Time zone', timezone, 'Such as Europe/Berlin.')}
    <${MissedField} missed=${schedule?.missed ?? 'once'} problem=${problem} />
    <${OptionField} row=${options.priority} value=${String(priority)} problem=${problem} />
  </div>`
}

function NameField({ problem }) {
  const hint = 'The name cannot be changed later.'
  return html`<${Field} label="Name" hint=${hint} pointer="path/schedule" problem=${problem}>
    <input name="name" autocomplete="off" spellcheck=${false} autofocus />
  </${Field}>`
}

function TextField({ name, label, value, hint, problem, ...more }) {
  return html`<${Field} label=${label} hint=${hint} pointer="/${name}" problem=${problem}>
    <input name=${name} defaultValue=${value} autocomplete="off" spellcheck=${false} ...${more} />
  </${Field}>`
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
