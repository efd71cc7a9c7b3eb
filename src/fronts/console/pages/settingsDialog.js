/** The form with the settings of a queue, made from the table of settings. */
import { html } from './vendor/htm.js'
import { perform, queuePath } from './api.js'
import { CopyCurl } from './curl.js'
import { above, closeDialog, Dialog, useSubmit } from './dialog.js'
import {
  CheckField,
  Field,
  FormEnd,
  headersOf,
  linesOf,
  numberOf,
  SecondsInput,
  TextField,
  typed
} from './forms.js'
import { settings } from './tables.js'

/** @typedef {import('./tables.js').SettingRow} FormRow */

/**
 * All settings but `paused`, which has a button of its own on the page of the queue.
 * @type {FormRow[]}
 */
const formRows = settings.filter(({ path }) => path[0] !== 'paused')

const fieldName = (/** @type {FormRow} */ { path }) => path.join('.')
const pointerOf = (/** @type {FormRow} */ { path }) => `/${path.join('/')}`
const fieldsOf = (/** @type {FormRow} */ { fields }) => Object.entries(fields ?? {})
const recordPointersOf = (/** @type {FormRow} */ row) =>
  fieldsOf(row).map(([name]) => `${pointerOf(row)}/${name}`)
const pointers = [...formRows.flatMap(row => [pointerOf(row), ...recordPointersOf(row)]), 'path/queue']

/**
 * What the form shows at first: the value in force. For a new queue `settings` is null. Then text
 * fields are empty, and the service fills in the default of each that stays empty.
 * @param {FormRow} row
 * @param {any} settings
 */
function shownValue(row, settings) {
  if (settings !== null) return row.path.reduce((value, name) => value[name], settings)
  const isShown = row.type === 'flag' || row.type === 'choice' || row.type === 'texts' || row.nullable
  return isShown ? row.default : null
}

/**
 * What the form holds now: null for an empty field.
 * @param {FormRow} row
 * @param {FormData} form
 */
function formValue(row, form) {
  const name = fieldName(row)
  if (row.type === 'flag') return form.has(name)
  if (row.type === 'record') return recordOf(row, form)
  const text = typed(form, name)
  if (row.type === 'choice') return text
  if (row.type === 'queue') return text || null
  if (row.type === 'texts') return headersOf(text)
  return text === '' ? null : numberOf(text)
}

/**
 * An object of the fields that were filled in: null where none was.
 * @param {FormRow} row
 * @param {FormData} form
 */
function recordOf(row, form) {
  const entries = fieldsOf(row)
    .map(([name]) => [name, typed(form, `${fieldName(row)}.${name}`)])
    .filter(([, text]) => text !== '')
    .map(([name, text]) => [name, numberOf(text)])
  return entries.length === 0 ? null : Object.fromEntries(entries)
}

/**
 * Whether the form shows what it showed at first. Tags are compared as text: what lines cannot say,
 * such as a colon in a name, then stays as it is.
 * @param {FormRow} row
 * @param {FormData} form
 * @param {any} shown
 */
function isUntouched(row, form, shown) {
  if (row.type === 'texts') return typed(form, fieldName(row)) === linesOf(shown).trim()
  if (row.type === 'record') {
    const value = formValue(row, form)
    return fieldsOf(row).every(([name]) => value?.[name] === shown?.[name])
  }
  return formValue(row, form) === shown
}

/**
 * The settings that the reader has changed, as the service takes them.
 * @param {FormData} form
 * @param {any} settings
 */
function changesOf(form, settings) {
  const changes = /** @type {any} */ ({})
  for (const row of formRows) {
    if (isUntouched(row, form, shownValue(row, settings))) continue
    const value = formValue(row, form)
    const [name, inner] = row.path
    changes[name] = inner === undefined ? value : { ...changes[name], [inner]: value }
  }
  return changes
}

/**
 * Changes the settings of a queue. Where `queue` and `settings` are null it makes a new queue.
 * @param {{ queue: string | null, settings: any, onDone: (name: string) => void }} props
 */
export function SettingsDialog({ queue, settings, onDone }) {
  const isNew = queue === null
  const nameOf = form => queue ?? typed(form, 'name')
  const requestOf = form => {
    return { method: 'PUT', path: queuePath(nameOf(form)), body: changesOf(form, settings) }
  }
  const { busy, problem, onSubmit } = useSubmit(async formElement => {
    const form = new FormData(formElement)
    const name = nameOf(form)
    await perform(requestOf(form))
    closeDialog()
    above.toast(isNew ? `Queue ${name} created.` : 'Settings saved.')
    onDone(name)
  })
  return html`<${Dialog} title=${isNew ? 'New queue' : `Settings of ${queue}`} wide>
    <form onSubmit=${onSubmit} noValidate>
      ${isNew && html`<${NameField} problem=${problem} />`}
      <div class="grid">
        ${formRows.map(
          (row, index) =>
            html`<${SettingField}
              row=${row}
              value=${shownValue(row, settings)}
              problem=${problem}
              focused=${!isNew && index === 0}
            />`
        )}
      </div>
      <${CopyCurl} requestsOf=${form => [requestOf(form)]} />
      <${FormEnd} problem=${problem} pointers=${pointers} yes=${isNew ? 'Create' : 'Save'} busy=${busy} />
    </form>
  </${Dialog}>`
}

function NameField({ problem }) {
  const hint = 'A–Z, a–z, 0–9, _, . and -. The name cannot be changed later.'
  return html`<${TextField}
    name="name"
    label="Name"
    hint=${hint}
    pointer="path/queue"
    problem=${problem}
    autofocus
  />`
}

function SettingField({ row, value, problem, focused }) {
  const { type, label, unit, help } = row
  const mayBeNull = row.default === null || row.nullable
  const hint = mayBeNull ? `${help} Leave it empty for null.` : help
  const props = { hint, pointer: pointerOf(row), problem }
  if (type === 'flag') {
    return html`<${CheckField} name=${fieldName(row)} checked=${value} label=${label} ...${props} />`
  }
  const title = unit === undefined ? label : `${label}, in ${unit}`
  if (type === 'texts') {
    return html`<${Field} label=${label} ...${props} hint="${help} One a line, as name: value.">
      <textarea name=${fieldName(row)} rows="2" spellcheck=${false} defaultValue=${linesOf(value)}></textarea>
    </${Field}>`
  }
  if (type === 'record') {
    return html`<${RecordField} row=${row} value=${value} hint=${hint} problem=${problem} />`
  }
  const input = type === 'choice' ? ChoiceInput : TextInput
  return html`<${Field} label=${title} ...${props}>
    <${input} row=${row} value=${value} focused=${focused} />
  </${Field}>`
}

/** A number for each field of an object. What is wrong with one stands at the first that is wrong. */
function RecordField({ row, value, hint, problem }) {
  const wrong = recordPointersOf(row).find(pointer =>
    problem?.errors?.some(error => error.pointer === pointer)
  )
  return html`<${Field} label=${row.label} hint=${hint} pointer=${wrong ?? pointerOf(row)} problem=${problem}>
    <span class="record">
      ${fieldsOf(row).map(
        ([name, { label }]) =>
          html`<input
            name="${fieldName(row)}.${name}"
            inputmode="decimal"
            autocomplete="off"
            placeholder=${label}
            aria-label="${row.label}, ${label}"
            defaultValue=${String(value?.[name] ?? '')}
          />`
      )}
    </span>
  </${Field}>`
}

function ChoiceInput({ row, value }) {
  return html`<select name=${fieldName(row)}>
    ${row.choices.map(
      choice => html`<option value=${choice} selected=${choice === value}>${choice}</option>`
    )}
  </select>`
}

function TextInput({ row, value, focused }) {
  const text = String(value ?? '')
  if (row.unit === 'seconds') {
    return html`<${SecondsInput} name=${fieldName(row)} value=${text} focused=${focused} />`
  }
  return html`<input
    name=${fieldName(row)}
    inputmode=${row.type === 'queue' ? 'text' : 'decimal'}
    autocomplete="off"
    defaultValue=${text}
    autofocus=${focused}
  />`
}
