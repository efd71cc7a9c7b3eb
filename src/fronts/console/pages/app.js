/** The console: signs in, shows the page that the address names, and what is above every page. */
import { html, render, useEffect, useErrorBoundary, useLayoutEffect, useRef, useState } from './vendor/htm.js'
import { useAddress } from './address.js'
import { root, storedKey, storeKey, whenSignedOut } from './api.js'
import { clockTitle, nextClock, zoneLabel } from './clock.js'
import { above, closeDialog } from './dialog.js'
import { focusHeading, watchFocus } from './focus.js'
import { onKeyDown, showShortcuts } from './keyboard.js'
import { MessagePage } from './message.js'
import { returnToPlace, watchPlaces } from './places.js'
import { QueuePage } from './queue.js'
import { QueuesPage } from './queues.js'
import { readRights } from './rights.js'
import { SchedulesPage } from './schedules.js'
import { SharesPage } from './shares.js'
import { SignIn } from './signIn.js'
import { applyTheme, nextTheme, savedTheme } from './theme.js'
import { TopicPage } from './topic.js'
import { TopicsPage } from './topics.js'
import { ProblemNote } from './ui.js'

const toastMs = 6000

/**
 * The page that the address names, and its title for the tab and the list of visited pages.
 * @param {{ parts: string[], query: Record<string, string> }} address
 */
function pageOf({ parts, query }) {
  const [kind = 'queues', name, below, id] = parts
  if (kind === 'queues' && name === undefined) {
    return { title: 'Queues', page: html`<${QueuesPage} query=${query} />` }
  }
  if (kind === 'queues' && below === 'messages' && id !== undefined) {
    const page = html`<${MessagePage} key=${`${name}/${id}`} queue=${name} id=${id} />`
    return { title: `Message ${id} · ${name}`, page }
  }
  if (kind === 'queues') {
    return { title: name, page: html`<${QueuePage} key=${name} queue=${name} query=${query} />` }
  }
  if (kind === 'shares') return { title: 'Shares', page: html`<${SharesPage} />` }
  if (kind === 'schedules') return { title: 'Schedules', page: html`<${SchedulesPage} />` }
  if (kind === 'topics' && name === undefined) return { title: 'Topics', page: html`<${TopicsPage} />` }
  if (kind === 'topics') {
    return { title: `Topic ${name}`, page: html`<${TopicPage} key=${name} topic=${name} />` }
  }
  return { title: 'No such page', page: html`<${NoPage} />` }
}

function NoPage() {
  return html`<main>
    <div class="empty">
      <h1>There is no such page</h1>
      <p><a href="#/">All queues</a></p>
    </div>
  </main>`
}

/** Its children, or a note where one of them has thrown. */
function Guarded({ children }) {
  const [error, reset] = useErrorBoundary()
  if (!error) return children
  const message = `This page has a bug: ${error.message}. Try again. If the bug comes back, please report it.`
  return html`<main><${ProblemNote} problem=${{ message }} again=${reset} /></main>`
}

/** What the key may do, null until it is known, and how to come in and leave. */
function useSession() {
  const [rights, setRights] = useState(/** @type {any} */ (null))
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const enter = () =>
    readRights().then(rights => {
      setRights(rights)
      setProblem(null)
    }, setProblem)
  const signOut = () => {
    storeKey(null)
    setRights(null)
    enter()
  }
  useEffect(() => {
    whenSignedOut(problem => {
      closeDialog()
      setRights(null)
      setProblem(problem)
    })
    enter()
  }, [])
  return { rights, problem, enter, signOut }
}

/** The text that is shown for a while at the foot of the page. */
function useToast() {
  const [toast, setToast] = useState(/** @type {{ text: string, bad: boolean } | null} */ (null))
  useEffect(() => {
    if (toast === null) return
    const timer = setTimeout(() => setToast(null), toastMs)
    return () => clearTimeout(timer)
  }, [toast])
  above.toast = (text, bad = false) => setToast({ text, bad })
  return toast
}

function App() {
  const [dialog, setDialog] = useState(/** @type {any} */ (null))
  above.dialog = setDialog
  const toast = useToast()
  const { rights, problem, enter, signOut } = useSession()
  const address = useAddress()
  useShownAgain('clockchange')
  useEffect(() => {
    document.addEventListener('keydown', onKeyDown)
    return () => document.removeEventListener('keydown', onKeyDown)
  }, [])
  const { title, page } = pageOf(address)
  const path = address.parts.join('/')
  const pathShown = useRef('')
  const isIn = rights !== null
  // Before the page is shown, not after: a dialog that the page opens at once must stay open.
  useLayoutEffect(closeDialog, [path])
  useLayoutEffect(() => {
    const titleOutside = problem?.status === 401 ? 'Sign in' : ''
    const shown = isIn ? title : titleOutside
    document.title = shown === '' ? 'Holdfast' : `${shown} – Holdfast`
  }, [title, isIn, problem])
  useLayoutEffect(() => {
    if (!isIn) return
    if (pathShown.current !== '' && pathShown.current !== path) focusHeading()
    pathShown.current = path
    returnToPlace()
  }, [address, isIn])

  if (rights === null) return html`<${Entrance} problem=${problem} enter=${enter} />`
  return html`<button class="skip" onClick=${focusContent}>Skip to the content</button>
    <${TopBar}
      page=${address.parts[0] ?? 'queues'}
      admin=${rights.shares}
      signOut=${rights.signedIn ? signOut : null}
    />
    <div id="content" tabindex="-1"><${Guarded}>${page}</${Guarded}></div>
    ${dialog}
    <div class="toasts" role="status" aria-live="polite">
      ${toast && html`<div class="toast ${toast.bad ? 'bad' : ''}">${toast.text}</div>`}
    </div>`
}

const focusContent = () => document.getElementById('content')?.focus()

/** Asks for a key, or says why the service cannot be asked. */
function Entrance({ problem, enter }) {
  if (problem === null) return null
  if (problem.status !== 401) return html`<main><${ProblemNote} problem=${problem} again=${enter} /></main>`
  const onSecret = secret => {
    storeKey(secret.trim())
    enter()
  }
  return html`<${SignIn} problem=${storedKey() === null ? null : problem} onSecret=${onSecret} />`
}

const themeTitles = { auto: '◐ Auto', light: '☀ Light', dark: '☾ Dark' }

/**
 * Shows everything again when the reader has changed the theme or the clock.
 * @param {string} change
 */
function useShownAgain(change) {
  const [, setChanges] = useState(0)
  useEffect(() => {
    const onChange = () => setChanges(n => n + 1)
    addEventListener(change, onChange)
    return () => removeEventListener(change, onChange)
  }, [])
}

function TopBar({ page, admin, signOut }) {
  useShownAgain('themechange')
  const theme = savedTheme()
  const current = name => (page === name ? 'page' : undefined)
  return html`<header class="top">
    <a class="brand" href="#/"
      ><img src="${root}/console/icon.svg" alt="" width="26" height="26" />Holdfast</a
    >
    <nav aria-label="Pages">
      <a href="#/" aria-current=${current('queues')}>Queues</a>
      <a href="#/topics" aria-current=${current('topics')}>Topics</a>
      <a href="#/schedules" aria-current=${current('schedules')}>Schedules</a>
      ${admin && html`<a href="#/shares" aria-current=${current('shares')}>Shares</a>`}
    </nav>
    <span class="spacer"></span>
    <button class="quiet" onClick=${nextClock} aria-label="Times: ${clockTitle()}" title="Clock (z)">
      <span class="wide">${clockTitle()}</span><span class="narrow">${zoneLabel()}</span>
    </button>
    <button class="quiet" onClick=${nextTheme} aria-label="Theme: ${theme}" title="Theme (t)">
      ${themeTitles[theme]}
    </button>
    <button
      class="quiet icon"
      onClick=${showShortcuts}
      aria-label="Keyboard shortcuts"
      title="Keyboard shortcuts (?)"
    >
      ?
    </button>
    ${signOut && html`<button class="quiet" onClick=${signOut}>Sign out</button>`}
  </header>`
}

applyTheme(savedTheme())
watchPlaces()
watchFocus()
render(html`<${App} />`, /** @type {Element} */ (document.getElementById('app')))
