/** What the pages are built of: dialogs, notes, badges, sparklines. */
import { html, useEffect, useRef, useState } from './vendor/htm.js'
import { duration, rate } from './format.js'

/**
 * Tells the whole of the page what to show above it; the application sets it. @type {{ dialog:
 * (node: any) => void, toast: (text: string, bad?: boolean) => void }}
 */
export const above = { dialog: () => {}, toast: () => {} }
export const closeDialog = () => above.dialog(null)

/** Its children in a modal dialog: the browser keeps the focus in it, and Escape closes it. */
export function Dialog({ title, wide = false, children }) {
  const ref = useRef(/** @type {any} */ (null))
  useEffect(() => {
    ref.current.showModal()
  }, [])
  return html`<dialog
    ref=${ref}
    class=${wide ? 'wide' : ''}
    aria-labelledby="dialog-title"
    onClose=${closeDialog}
    onCancel=${closeDialog}
    onClick=${event => {
      if (event.target === ref.current) closeDialog()
    }}
  >
    <div class="dialog-inside">
      <header>
        <h2 id="dialog-title">${title}</h2>
        <button class="quiet icon" aria-label="Close" onClick=${closeDialog}>✕</button>
      </header>
      ${children}
    </div>
  </dialog>`
}

/** Asks before something is done; \`act\` is done on yes, and what it refuses is shown here. */
function Confirm({ title, text, yes, danger, act }) {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const go = async event => {
    event.preventDefault()
    setBusy(true)
    try {
      await act()
      closeDialog()
    } catch (error) {
      setProblem(error)
      setBusy(false)
    }
  }
  return html`<${Dialog} title=${title}>
    <form onSubmit=${go}>
      <p>${text}</p>
      <${ProblemNote} problem=${problem} />
      <footer><button type="button" onClick=${closeDialog}>Keep it as it is</button><button class=${danger ? 'danger' : 'primary'} disabled=${busy} autofocus>${yes}</button></footer>
    </form>
  </${Dialog}>`
}

/** @param {{ title: string, text: any, yes: string, danger?: boolean, act: () => Promise<void> }} question */
export function confirm(question) {
  above.dialog(html`<${Confirm} ...${question} />`)
}

/** What went wrong, and what to do next. */
export function ProblemNote({ problem, again }) {
  if (!problem) return null
  return html`<div class="note bad" role="alert">
    <p>${problem.message}</p>
    ${
      problem.errors?.length > 1
        ? html`<ul>
            ${problem.errors.map(({ pointer, message }) => html`<li><code>${pointer}</code> ${message}</li>`)}
          </ul>`
        : null
    }
    ${again ? html`<button onClick=${again}>Try again</button>` : null}
  </div>`
}

/** Nothing here yet: why, and what to do. */
export function Empty({ title, children, command }) {
  return html`<div class="empty">
    <h3>${title}</h3>
    <p>${children}</p>
    ${command ? html`<${Command} text=${command} />` : null}
  </div>`
}

/** A command line to copy. */
export function Command({ text }) {
  const [copied, setCopied] = useState(false)
  const copy = async () => {
    await navigator.clipboard.writeText(text)
    setCopied(true)
  }
  return html`<div class="command">
    <pre tabindex="0"><code>${text}</code></pre>
    <button class="quiet" onClick=${copy}>${copied ? 'Copied' : 'Copy'}</button>
  </div>`
}

export const Badge = ({ kind, children }) => html`<span class="badge ${kind}">${children ?? kind}</span>`

/**
 * The last hour in a few pixels, with its last value beside it. \`values\` may hold nulls, where
 * nothing is known.
 */
export function Spark({ values, now, kind, label }) {
  const known = (values ?? []).map(value => value ?? 0)
  const top = Math.max(...known, 0.001)
  const width = 88
  const height = 22
  const points = known.map(
    (value, i) =>
      `${((i / Math.max(1, known.length - 1)) * width).toFixed(1)} ` +
      `${(height - 1 - (value / top) * (height - 3)).toFixed(1)}`
  )
  return html`<span
    class="spark ${kind}"
    title=${known.length > 0 ? `${label} over the last hour, at most ${rate(top > 0.001 ? top : 0)} ` + 'a second' : label}
  >
    ${
      known.length > 1 &&
      html`<svg viewBox="0 0 ${width} ${height}" width=${width} height=${height} aria-hidden="true">
        <path class="area" d=${`M0 ${height} L${points.join(' L')} L${width} ${height} Z`} />
        <path class="line" d=${`M${points.join(' L')}`} />
      </svg>`
    }
    <b>${rate(now)}</b></span
  >`
}

export const Oldest = ({ seconds }) =>
  html`<span class=${seconds > 3600 ? 'warn' : ''}>${duration(seconds)}</span>`

/** Says in what state the live figures are. @param {{ state: import('./api.js').LiveState }} props */
export function LiveMark({ state }) {
  const [kind, text] = {
    live: ['good', 'Live'],
    connecting: ['', 'Connecting'],
    trouble: ['bad', 'Database away: these figures are old'],
    away: ['bad', 'Not connected: trying again'],
    full: ['bad', 'Too many pages are open; close one']
  }[state]
  return html`<span class="live ${kind}" role="status">${text}</span>`
}

/** A value that follows what is typed, a moment later. @param {string} value @param {number} [ms] */
export function useDebounced(value, ms = 200) {
  const [late, setLate] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setLate(value), ms)
    return () => clearTimeout(timer)
  }, [value])
  return late
}
