/** What the forms share: fields that show what was refused, and readers of what was typed. */
import { html, useState } from './vendor/htm.js'
import { Problem } from './api.js'
import { DialogButtons } from './dialog.js'
import { exactDuration } from './format.js'
import { ProblemNote } from './ui.js'

/** Where the service says the fault is: options of a text body travel in the query. */
const isAt = (error, pointer) => error.pointer === pointer || error.pointer === `query${pointer}`

/**
 * One field with its label. Below it stands its hint, or what is wrong with it.
 * `pointer` is the JSON pointer by which the service names the field.
 */
export function Field({ label, children, ...rest }) {
  return html`<${FieldFrame} label=${label} ...${rest}><label>${label}${children}</label></${FieldFrame}>`
}

/**
 * A field with one line of text. Attributes that are not named here are those of its input.
 */
export function TextField({ name, label, value, hint, pointer = `/${name}`, problem, ...attributes }) {
  return html`<${Field} label=${label} hint=${hint} pointer=${pointer} problem=${problem}>
    <input name=${name} defaultValue=${value} autocomplete="off" spellcheck=${false} ...${attributes} />
  </${Field}>`
}

/** A checkbox with its label beside it. */
export function CheckField({ name, checked, label, ...rest }) {
  return html`<${FieldFrame} label=${label} ...${rest}>
    <label class="check"><input type="checkbox" name=${name} checked=${checked} />${label}</label>
  </${FieldFrame}>`
}

/** What the service says of a field, in the words of a form. */
const wordsOf = ({ message }) => message.replace(/, or null$/, ', or left empty')

function FieldFrame({ label, hint = '', pointer, problem, children }) {
  const fault = problem?.errors?.find(error => isAt(error, pointer))
  const note = fault
    ? html`<small class="fault" role="alert">${label} ${wordsOf(fault)}.</small>`
    : hint && html`<small>${hint}</small>`
  return html`<div class="field ${fault ? 'wrong' : ''}">${children}${note}</div>`
}

/**
 * The end of a form: what was refused and stands at none of its fields, and the buttons.
 * @param {{ problem: any, pointers: string[], yes: string, busy: boolean }} props
 */
export function FormEnd({ problem, pointers, yes, busy }) {
  const errors = problem?.errors ?? []
  const shown = errors.length > 0 && errors.every(error => pointers.some(pointer => isAt(error, pointer)))
  return html`
    <${ProblemNote} problem=${shown ? null : problem} />
    <${DialogButtons} yes=${yes} busy=${busy} />
  `
}

/** A number of seconds. From a minute on, a person's words for it stand beside it. */
export function SecondsInput({ name, value = '', focused = false }) {
  const [text, setText] = useState(value)
  const seconds = Number(text)
  const words = seconds >= 60 && Number.isFinite(seconds) ? `= ${exactDuration(seconds)}` : ''
  return html`<span class="seconds">
    <input
      name=${name}
      inputmode="decimal"
      autocomplete="off"
      defaultValue=${value}
      autofocus=${focused}
      onInput=${event => setText(event.target.value)}
    />
    <output>${words}</output>
  </span>`
}

/** The headers of a message, one a line. */
export function HeadersField({ problem, value = '', hint = 'One header a line, as name: value.' }) {
  return html`<${Field} label="Headers" pointer="/headers" problem=${problem} hint=${hint}>
    <textarea name="headers" rows="2" spellcheck=${false} defaultValue=${value}></textarea>
  </${Field}>`
}

/**
 * A field for an option of a message.
 * @param {{ row: import('./tables.js').OptionRow, value?: string, pointer?: string, problem: any }} props
 */
export function OptionField({ row, value = '', pointer = `/${row.name}`, problem }) {
  const { unit, bounds, label, help } = row
  const title = unit === undefined ? label : `${label}, in ${unit}`
  const hint = bounds === undefined ? help : `${help} Values: ${bounds}.`
  return html`<${Field} label=${title} hint=${hint} pointer=${pointer} problem=${problem}>
    <${OptionInput} row=${row} value=${value} />
  </${Field}>`
}

function OptionInput({ row: { name, type, choices, unit }, value }) {
  if (type === 'choice') {
    return html`<select name=${name}>
      ${choices.map(choice => html`<option value=${choice}>${choice}</option>`)}
    </select>`
  }
  if (unit === 'seconds') return html`<${SecondsInput} name=${name} value=${value} />`
  return html`<input
    name=${name}
    inputmode=${type === 'text' ? 'text' : 'decimal'}
    autocomplete="off"
    spellcheck=${false}
    defaultValue=${value}
  />`
}

/**
 * What was typed into a field, without white space around it.
 * @param {FormData} form
 * @param {string} name
 */
export const typed = (form, name) => String(form.get(name) ?? '').trim()

/**
 * The text as a number, if it is one. If not, it stays as typed and the service refuses it.
 * @param {string} text
 */
export const numberOf = text => (Number.isNaN(Number(text)) ? text : Number(text))

/**
 * Headers from lines of `name: value`.
 * @param {string} text
 */
export function headersOf(text) {
  /** @type {[string, string][]} */
  const entries = text
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => {
      const colon = line.indexOf(':')
      return colon < 0 ? [line.trim(), ''] : [line.slice(0, colon).trim(), line.slice(colon + 1).trim()]
    })
  return Object.fromEntries(entries)
}

/**
 * Lines of `name: value`, as `headersOf` reads them.
 * @param {Record<string, string> | null} [texts]
 */
export const linesOf = texts =>
  Object.entries(texts ?? {})
    .map(([name, value]) => `${name}: ${value}`)
    .join('\n')

/**
 * Throws a Problem at the field `body` when the text is not JSON.
 * @param {string} text
 */
export function checkJson(text) {
  try {
    JSON.parse(text)
  } catch (/** @type {any} */ error) {
    const message = `is not JSON: ${error.message}`
    throw new Problem(0, { detail: '', errors: [{ pointer: '/body', message }] })
  }
}
