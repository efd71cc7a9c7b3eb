/** The form that enqueues one message: JSON goes out exactly as typed, text as text/plain. */
import { html, useState } from './vendor/htm.js'
import { callText, queuePath } from './api.js'
import { above, closeDialog, Dialog, useSubmit } from './dialog.js'
import { checkJson, Field, FormEnd, HeadersField, headersOf, numberOf, OptionField, typed } from './forms.js'
import { options } from './tables.js'

const optionRows = Object.values(options)
const pointers = ['body', 'headers', ...Object.keys(options)].map(name => `/${name}`)

/** @typedef {'json' | 'text'} Kind */

/**
 * The options that were given.
 * @param {FormData} form
 */
function optionsOf(form) {
  const given = /** @type {any} */ ({})
  for (const { name, type } of optionRows) {
    const text = typed(form, name)
    if (text !== '') given[name] = type === 'text' ? text : numberOf(text)
  }
  return given
}

/**
 * @param {string} queue
 * @param {FormData} form
 */
function sendJson(queue, form) {
  const body = String(form.get('body'))
  checkJson(body)
  const headers = headersOf(String(form.get('headers')))
  const rest = JSON.stringify({ ...(Object.keys(headers).length > 0 && { headers }), ...optionsOf(form) })
  // The body is put in as text: reading and writing it again would change its numbers.
  const message = rest === '{}' ? `{"body":${body}}` : `{"body":${body},${rest.slice(1)}`
  return callText('POST', `${queuePath(queue)}/messages`, message)
}

/**
 * @param {string} queue
 * @param {FormData} form
 */
function sendText(queue, form) {
  const path = `${queuePath(queue)}/messages?${new URLSearchParams(optionsOf(form))}`
  return callText('POST', path, String(form.get('body')), { 'content-type': 'text/plain; charset=utf-8' })
}

export function EnqueueDialog({ queue, onDone }) {
  const [kind, setKind] = useState(/** @type {Kind} */ ('json'))
  const { busy, problem, onSubmit } = useSubmit(async formElement => {
    const form = new FormData(formElement)
    const answer = await (kind === 'json' ? sendJson(queue, form) : sendText(queue, form))
    const { id, duplicate } = JSON.parse(answer)
    closeDialog()
    above.toast(
      duplicate
        ? `This idempotency key belongs to message ${id}. Nothing new was stored.`
        : `Message ${id} enqueued.`
    )
    onDone()
  })
  return html`<${Dialog} title="Enqueue to ${queue}" wide>
    <form onSubmit=${onSubmit} noValidate>
      <${KindChoice} kind=${kind} onKind=${setKind} />
      <${BodyField} kind=${kind} problem=${problem} />
      ${kind === 'json' && html`<${HeadersField} problem=${problem} />`}
      <div class="grid">
        ${optionRows.map(row => html`<${OptionField} row=${row} problem=${problem} />`)}
      </div>
      <${FormEnd} problem=${problem} pointers=${pointers} yes="Enqueue" busy=${busy} />
    </form>
  </${Dialog}>`
}

function KindChoice({ kind, onKind }) {
  const choice = (value, label) =>
    html`<label>
      <input
        type="radio"
        name="kind"
        value=${value}
        checked=${kind === value}
        onChange=${() => onKind(value)}
      />
      ${label}
    </label>`
  return html`<div class="segments" role="radiogroup" aria-label="Type of the body">
    ${choice('json', 'JSON')} ${choice('text', 'Text')}
  </div>`
}

function BodyField({ kind, problem }) {
  const hint = kind === 'json' ? 'Workers get it exactly as typed.' : 'Workers get it as text/plain.'
  const example = kind === 'json' ? '{"to": "ada@example.org"}' : ''
  return html`<${Field} label="Body" pointer="/body" problem=${problem} hint=${hint}>
    <textarea name="body" rows="8" spellcheck=${false} autofocus placeholder=${example}></textarea>
  </${Field}>`
}
