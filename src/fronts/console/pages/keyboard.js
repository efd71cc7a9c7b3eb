/**
 * Keyboard shortcuts. A few work on every page. Any other key clicks or focuses the element that
 * names the key in its `data-key`.
 */
import { html } from './vendor/htm.js'
import { nextClock } from './clock.js'
import { above, Dialog } from './dialog.js'
import { nextTheme } from './theme.js'

/**
 * The keys of each shortcut, with what they do on every page. null: the element that names the key does
 * it, or the browser. `g q` is g and then q.
 * @type {{ title: string, keys: Record<string, (() => void) | null> }[]}
 */
const shortcuts = [
  { title: 'Search', keys: { '/': null } },
  { title: 'Next row, previous row', keys: { j: () => moveRow(1), k: () => moveRow(-1) } },
  { title: 'Open the row', keys: { Enter: null } },
  { title: 'Select the row', keys: { x: selectRow } },
  { title: 'Reload', keys: { r: null } },
  { title: 'New message, queue, subscription or schedule', keys: { n: null } },
  { title: 'Queues', keys: { 'g q': () => goTo('#/') } },
  { title: 'Topics', keys: { 'g t': () => goTo('#/topics') } },
  { title: 'Schedules', keys: { 'g s': () => goTo('#/schedules') } },
  { title: 'Theme: auto, light, dark', keys: { t: nextTheme } },
  { title: 'Clock: local or UTC', keys: { z: nextClock } },
  { title: 'Shortcuts', keys: { '?': () => showShortcuts() } },
  { title: 'Close', keys: { Esc: null } }
]

/** @type {Record<string, (() => void) | null>} */
const actions = Object.assign({}, ...shortcuts.map(({ keys }) => keys))

/** @param {string} hash */
function goTo(hash) {
  location.hash = hash
}

function Shortcuts() {
  return html`<${Dialog} title="Keyboard">
    <dl class="keys">
      ${shortcuts.map(
        ({ title, keys }) =>
          html`<dt>${Object.keys(keys).map(key => html`<kbd>${key}</kbd>`)}</dt>
            <dd>${title}</dd>`
      )}
    </dl>
  </${Dialog}>`
}

export const showShortcuts = () => above.dialog(html`<${Shortcuts} />`)

let lastKey = ''

/**
 * Listens to `keydown` on the document.
 * @param {KeyboardEvent} event
 */
export function onKeyDown(event) {
  const target = /** @type {HTMLElement} */ (event.target)
  if (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    target.matches('input:not([type=checkbox]), textarea, select') ||
    document.querySelector('dialog[open]')
  ) {
    return
  }
  const previous = lastKey
  lastKey = event.key
  if (press(event.key, previous)) event.preventDefault()
}

/**
 * Answers whether the key does anything here.
 * @param {string} key
 * @param {string} previous
 */
function press(key, previous) {
  const action = actions[`${previous} ${key}`] ?? actions[key] ?? null
  if (action === null) return pressMarked(key)
  action()
  return true
}

/**
 * Focuses the link of the row that is `step` rows further.
 * @param {number} step
 */
function moveRow(step) {
  const links = /** @type {HTMLElement[]} */ ([...document.querySelectorAll('[data-row] a')]).filter(link =>
    link.matches('[data-row] :is(td, th):first-child a, [data-row] a.row-link')
  )
  const last = links.length - 1
  const focused = links.findIndex(link => link.closest('[data-row]')?.contains(document.activeElement))
  const start = step > 0 ? 0 : last
  links[focused < 0 ? start : Math.min(last, Math.max(0, focused + step))]?.focus()
}

function selectRow() {
  const row = document.activeElement?.closest('[data-row]')
  const checkbox = /** @type {HTMLElement | null | undefined} */ (row?.querySelector('input[type=checkbox]'))
  checkbox?.click()
}

/** @param {string} key */
function pressMarked(key) {
  const selector = `[data-key="${CSS.escape(key)}"]`
  const element = /** @type {HTMLElement | null} */ (document.querySelector(selector))
  if (element === null) return false
  if (element.matches('input')) element.focus()
  else element.click()
  return true
}
