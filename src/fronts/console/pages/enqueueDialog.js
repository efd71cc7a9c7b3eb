/** The form that enqueues one message: JSON goes out exactly as typed, text as text/plain. */
import { html, useState } from './vendor/htm.js'
import { perform, queuePath } from './api.js'
import { CopyCurl } from './curl.js'
import { above, closeDialog, Dialog, useSubmit } from './dialog.js'
import { checkJson, Field, FormEnd, HeadersField, headersOf, numberOf, OptionField, typed } from './forms.js'
import { withBody } from './json.js'
import { options, uniqueMembers } from './tables.js'

const optionRows = Object.values(options)
/** The fields of `unique`, under the names that they have in a query. */
const uniqueRows = uniqueMembers.map(row => ({
  member: row.name,
  ...row,
  name: `unique${row.name[0].toUpperCase()}${row.name.slice(1)}`
}))

/** Where a problem is in a message, by the member of `unique`. A query has no other names. */
const uniquePointer = (kind, { member, name }) => (kind === 'json' ? `/unique/${member}` : `/${name}`)

const pointersOf = kind => [
  ...['body', 'headers', ...Object.keys(options)].map(name => `/${name}`),
  ...uniqueRows.map(row => uniquePointer(kind, row))
]

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
 * What `unique` is made of, where there is a key, by the names that `nameOf` gives the fields.
 * @param {FormData} form
 */
function uniqueOf(form, nameOf) {
  const [key] = uniqueRows
  if (typed(form, key.name) === '') return null
  return Object.fromEntries(uniqueRows.map(row => [nameOf(row), typed(form, row.name)]))
}

/**
 * @param {string} queue
 * @param {FormData} form
 */
function jsonRequest(queue, form) {
  const body = String(form.get('body'))
  checkJson(body)
  const headers = headersOf(String(form.get('headers')))
  const unique = uniqueOf(form, ({ member }) => member)
  const message = withBody(body, {
    ...(Object.keys(headers).length > 0 && { headers }),
    ...optionsOf(form),
    ...(unique !== null && { unique })
  })
  return { method: 'POST', path: `${queuePath(queue)}/messages`, body: message }
}

/**
 * @param {string} queue
 * @param {FormData} form
 */
function textRequest(queue, form) {
  const query = new URLSearchParams({ ...optionsOf(form), ...uniqueOf(form, ({ name }) => name) })
  const path = `${queuePath(queue)}/messages?${query}`
  const headers = { 'content-type': 'text/plain; charset=utf-8' }
  return { method: 'POST', path, body: String(form.get('body')), headers }
}

export function EnqueueDialog({ queue, onDone }) {
  const [kind, setKind] = useState(/** @type {Kind} */ ('json'))
  const requestOf = form => (kind === 'json' ? jsonRequest(queue, form) : textRequest(queue, form))
  const { busy, problem, onSubmit } = useSubmit(async formElement => {
    const { id, duplicate, replaced } = await perform(requestOf(new FormData(formElement)))
    closeDialog()
    above.toast(
      duplicate
        ? `Message ${id} has this key already. Nothing new was stored.`
        : `Message ${id} ${replaced ? 'replaced' : 'enqueued'}.`
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
        ${uniqueRows.map(
          row => html`<${OptionField} row=${row} pointer=${uniquePointer(kind, row)} problem=${problem} />`
        )}
      </div>
      <${CopyCurl} requestsOf=${form => [requestOf(form)]} />
      <${FormEnd} problem=${problem} pointers=${pointersOf(kind)} yes="Enqueue" busy=${busy} />
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
