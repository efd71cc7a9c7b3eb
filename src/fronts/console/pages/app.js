/** The console: signs in, finds the page that the address names, and holds what is above every page. */
import { html, render, useEffect, useErrorBoundary, useLayoutEffect, useState } from './vendor/htm.js'
import { readAddress } from './address.js'
import { readRights, storedKey, storeKey, whenSignedOut } from './api.js'
import { MessagePage } from './message.js'
import { QueuePage } from './queue.js'
import { QueuesPage } from './queues.js'
import { SchedulesPage } from './schedules.js'
import { above, Dialog, ProblemNote } from './ui.js'

const themes = /** @type {const} */ (['auto', 'light', 'dark'])
function applyTheme(theme) {
  document.documentElement.dataset.theme = theme
  try {
    localStorage.setItem('holdfast.theme', theme)
  } catch {
    /* a browser that keeps nothing begins anew each time */
  }
  dispatchEvent(new Event('themechange'))
}
function savedTheme() {
  try {
    return localStorage.getItem('holdfast.theme') ?? 'auto'
  } catch {
    return 'auto'
  }
}
applyTheme(savedTheme())

const shortcuts = [
  ['/', 'Search'],
  ['j  k', 'Next, previous row'],
  ['Enter', 'Open the row'],
  ['x', 'Check the row'],
  ['r', 'Load again'],
  ['n', 'Enqueue a message, in a queue'],
  ['g q', 'Queues'],
  ['g s', 'Schedules'],
  ['t', 'Light, dark, or as the system'],
  ['?', 'This list'],
  ['Esc', 'Close']
]
const Shortcuts = () =>
  html`<${Dialog} title="Keyboard"><dl class="keys">${shortcuts.map(
    ([keys, what]) =>
      html`<dt>${keys.split('  ').map(key => html`<kbd>${key}</kbd>`)}</dt>
        <dd>${what}</dd>`
  )}</dl></${Dialog}>`

/** j and k go from row to row, wherever rows are. @param {number} step */
function moveRow(step) {
  const rows = /** @type {HTMLElement[]} */ ([...document.querySelectorAll('[data-row] a')]).filter(row =>
    row.matches('[data-row] :is(td, th):first-child a, [data-row] a.row-link')
  )
  const at = rows.findIndex(row => row.closest('[data-row]')?.contains(document.activeElement))
  rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + step))]?.focus()
}

let before = ''
/** @param {KeyboardEvent} event */
function onKey(event) {
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
  const [key, last] = [event.key, before]
  before = key
  if (last === 'g' && (key === 'q' || key === 's')) location.hash = key === 'q' ? '#/' : '#/schedules'
  else if (key === 'j' || key === 'k') moveRow(key === 'j' ? 1 : -1)
  else if (key === 't') nextTheme()
  else if (key === '?') above.dialog(html`<${Shortcuts} />`)
  else if (key === 'x') {
    const row = document.activeElement?.closest('[data-row]')
    /** @type {HTMLInputElement | null | undefined} */
    const checkbox = row?.querySelector('input[type=checkbox]')
    checkbox?.click()
  } else {
    const wanted = /** @type {HTMLElement | null} */ (
      document.querySelector(`[data-key="${CSS.escape(key)}"]`)
    )
    if (wanted === null) return
    wanted.matches('input') ? wanted.focus() : wanted.click()
  }
  event.preventDefault()
}

function nextTheme() {
  const theme = document.documentElement.dataset.theme ?? 'auto'
  applyTheme(themes[(themes.indexOf(/** @type {any} */ (theme)) + 1) % themes.length])
}

function SignIn({ problem, onKey }) {
  return html`<main class="signin">
    <form
      onSubmit=${event => {
        event.preventDefault()
        onKey(new FormData(event.target).get('key'))
      }}
    >
      <img src="console/icon.svg" alt="" width="48" height="48" />
      <h1>Holdfast</h1>
      <p>This service asks for an API key. It is kept in this tab until you close it, and nowhere else.</p>
      <label
        >API key<input
          name="key"
          type="password"
          autocomplete="off"
          spellcheck=${false}
          required
          autofocus
          placeholder="hf_…"
      /></label>
      <${ProblemNote} problem=${problem} />
      <button class="primary">Sign in</button>
      <p class="hint">
        On the machine it runs on, <code>holdfast keys create me --allow admin</code> makes a key.
      </p>
    </form>
  </main>`
}

function Page({ parts, query }) {
  const [error, reset] = useErrorBoundary()
  if (error) {
    return html`<main>
      <${ProblemNote}
        problem=${{ message: `The page met a fault of its own: ${error.message}. Load it again; if ` + 'it comes back, tell us.' }}
        again=${reset}
      />
    </main>`
  }
  const [page = 'queues', name, below, id] = parts
  if (page === 'queues' && name === undefined) return html`<${QueuesPage} query=${query} />`
  if (page === 'queues' && below === 'messages' && id !== undefined) {
    return html`<${MessagePage} key=${`${name}/${id}`} queue=${name} id=${id} />`
  }
  if (page === 'queues') return html`<${QueuePage} key=${name} queue=${name} query=${query} />`
  if (page === 'schedules') return html`<${SchedulesPage} />`
  return html`<main>
    <div class="empty">
      <h3>There is no such page</h3>
      <p><a href="#/">All queues</a></p>
    </div>
  </main>`
}

function App() {
  const [rights, setRights] = useState(/** @type {any} */ (null))
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const [address, setAddress] = useState(readAddress)
  const [dialog, setDialog] = useState(/** @type {any} */ (null))
  const [toast, setToast] = useState(/** @type {any} */ (null))
  const [theme, setTheme] = useState(savedTheme)
  above.dialog = setDialog
  above.toast = (text, bad = false) => setToast({ text, bad })

  const enter = () =>
    readRights().then(rights => {
      setRights(rights)
      setProblem(null)
    }, setProblem)
  useEffect(() => {
    whenSignedOut(problem => {
      setDialog(null)
      setRights(null)
      setProblem(problem)
    })
    enter()
    const onHash = () => setAddress(readAddress())
    const onTheme = () => setTheme(savedTheme())
    addEventListener('hashchange', onHash)
    addEventListener('themechange', onTheme)
    document.addEventListener('keydown', onKey)
    return () => {
      removeEventListener('hashchange', onHash)
      removeEventListener('themechange', onTheme)
      document.removeEventListener('keydown', onKey)
    }
  }, [])
  useEffect(() => {
    if (toast === null) return
    const timer = setTimeout(() => setToast(null), 6000)
    return () => clearTimeout(timer)
  }, [toast])
  // With the page itself, not after it is shown: a dialog opened at once would be closed again.
  useLayoutEffect(() => {
    setDialog(null)
    document.title = `${address.parts.slice(1).join(' · ') || 'Queues'} – Holdfast`
  }, [address.parts.join('/')])

  if (rights === null) {
    if (problem === null) return null
    if (problem.status !== 401) return html`<main><${ProblemNote} problem=${problem} again=${enter} /></main>`
    const onNewKey = key => {
      storeKey(key.trim())
      enter()
    }
    return html`<${SignIn} problem=${storedKey() === null ? null : problem} onKey=${onNewKey} />`
  }
  const signOut = () => {
    storeKey(null)
    setRights(null)
    enter()
  }
  const at = address.parts[0] ?? 'queues'
  return html`<button
      class="skip"
      onClick=${() => /** @type {HTMLElement} */ (document.getElementById('content')).focus()}
    >
      To the content
    </button>
    <header class="top">
      <a class="brand" href="#/"><img src="console/icon.svg" alt="" width="26" height="26" />Holdfast</a>
      <nav aria-label="Pages">
        <a href="#/" aria-current=${at === 'queues' ? 'page' : undefined}>Queues</a
        ><a href="#/schedules" aria-current=${at === 'schedules' ? 'page' : undefined}>Schedules</a>
      </nav>
      <span class="spacer"></span>
      <button class="quiet" onClick=${nextTheme} aria-label="Theme: ${theme}" title="Theme (t)">
        ${{ auto: '◐ Auto', light: '☀ Light', dark: '☾ Dark' }[theme]}
      </button>
      <button
        class="quiet icon"
        onClick=${() => setDialog(html`<${Shortcuts} />`)}
        aria-label="Keyboard shortcuts"
        title="Keyboard shortcuts (?)"
      >
        ?
      </button>
      ${rights.signedIn && html`<button class="quiet" onClick=${signOut}>Sign out</button>`}
    </header>
    <div id="content" tabindex="-1"><${Page} ...${address} /></div>
    ${dialog}
    <div class="toasts" role="status" aria-live="polite">
      ${toast && html`<div class="toast ${toast.bad ? 'bad' : ''}">${toast.text}</div>`}
    </div>`
}

render(html`<${App} />`, /** @type {Element} */ (document.getElementById('app')))
