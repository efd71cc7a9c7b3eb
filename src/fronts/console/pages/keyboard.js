/**
 * Keyboard shortcuts. A few work on every page. Any other key clicks or focuses the element that
 * names the key in its `data-key`.
 */
import { html } from './vendor/htm.js'
import { nextClock } from './clock.js'
import { above, Dialog } from './dialog.js'
import { nextTheme } from './theme.js'

const shortcuts = [
  ['/', 'Search'],
  ['j  k', 'Next row, previous row'],
  ['Enter', 'Open the row'],
  ['x', 'Select the row'],
  ['r', 'Reload'],
  ['n', 'New message, queue, subscription or schedule'],
  ['g q', 'Queues'],
  ['g t', 'Topics'],
  ['g s', 'Schedules'],
  ['t', 'Theme: auto, light, dark'],
  ['z', 'Clock: local or UTC'],
  ['?', 'Shortcuts'],
  ['Esc', 'Close']
]

function Shortcuts() {
  return html`<${Dialog} title="Keyboard">
    <dl class="keys">
      ${shortcuts.map(
        ([keys, what]) =>
          html`<dt>${keys.split('  ').map(key => html`<kbd>${key}</kbd>`)}</dt>
            <dd>${what}</dd>`
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
  if (previous === 'g' && key === 'q') location.hash = '#/'
  else if (previous === 'g' && key === 't') location.hash = '#/topics'
  else if (previous === 'g' && key === 's') location.hash = '#/schedules'
  else if (key === 'j') moveRow(1)
  else if (key === 'k') moveRow(-1)
  else if (key === 't') nextTheme()
  else if (key === 'z') nextClock()
  else if (key === '?') showShortcuts()
  else if (key === 'x') selectRow()
  else return pressMarked(key)
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
  element.matches('input') ? element.focus() : element.click()
  return true
}
