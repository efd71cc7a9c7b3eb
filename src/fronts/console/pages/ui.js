/** Small parts of every page: notes, badges, figures, sparklines. */
import { html, useState } from './vendor/htm.js'
import { time } from './clock.js'
import { ago, count, duration, rate } from './format.js'
import { titleOf } from './states.js'

/** What the service refused, and why. With `again` it offers to try again. */
export function ProblemNote({ problem, again }) {
  if (!problem) return null
  const { message, errors = [] } = problem
  return html`<div class="note bad" role="alert">
    <p>${message}</p>
    ${errors.length > 1 && html`<${ProblemList} errors=${errors} />`}
    ${again && html`<button onClick=${again}>Try again</button>`}
  </div>`
}

function ProblemList({ errors }) {
  return html`<ul>
    ${errors.map(({ pointer, message }) => html`<li><code>${pointer}</code> ${message}</li>`)}
  </ul>`
}

/** Says that there is nothing here, why, and what to do. */
export function Empty({ title, children, command }) {
  return html`<div class="empty">
    <h2>${title}</h2>
    <p>${children}</p>
    ${command && html`<${Command} text=${command} />`}
  </div>`
}

/** A part of a page that its reader opens. Its children are there, and read, only while it is open. */
export function Part({ title, children }) {
  const [open, setOpen] = useState(false)
  return html`<details class="part" open=${open} onToggle=${event => setOpen(event.target.open)}>
    <summary><h2>${title}</h2></summary>
    ${open && children}
  </details>`
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

/** How long ago a time was. The time itself is its title. */
export const Ago = ({ at }) => html`<time datetime=${at} title=${time(at)}>${ago(at)}</time>`

/** Reads the page again. With `changed` it says that this would show something new. */
export function ReloadButton({ onClick, changed = false }) {
  const kind = changed ? 'quiet changed' : 'quiet'
  return html`<button class=${kind} data-key="r" onClick=${onClick} title="Reload (r)">
    ${changed ? '● Changed: reload' : 'Reload'}
  </button>`
}

/** A term with what it is, in a list of them. */
export const Pair = ({ title, children }) =>
  html`<dt>${title}</dt>
    <dd>${children}</dd>`

export const Badge = ({ kind }) => html`<span class="badge ${kind}">${kind}</span>`

/** One number with its title, in a list of figures. */
export function Figure({ title, hint, kind = '', children }) {
  return html`<div class="figure ${kind}">
    <dt title=${hint}>${title}</dt>
    <dd>${children}</dd>
  </div>`
}

/** How many messages are in a state. The figure for dead has its colour only above 0. */
export function StateFigure({ state, messages }) {
  const kind = state === 'dead' && messages === 0 ? '' : state
  return html`<${Figure} title=${titleOf(state)} kind=${kind}>${count(messages)}</${Figure}>`
}

const sparkWidth = 88
const sparkHeight = 22

/**
 * The last hour as a small curve, with its last value beside it. Where nothing is known, `values`
 * holds null.
 */
export function Spark({ values, now, kind, label }) {
  const numbers = (values ?? []).map(value => value ?? 0)
  const top = Math.max(...numbers, 0.001)
  const most = rate(top > 0.001 ? top : 0)
  const title = numbers.length > 0 ? `${label} in the last hour: at most ${most} per second` : label
  return html`<span class="spark ${kind}" title=${title}>
    ${numbers.length > 1 && html`<${SparkCurve} numbers=${numbers} top=${top} />`}
    <b>${rate(now)}</b>
  </span>`
}

function SparkCurve({ numbers, top }) {
  const x = index => ((index / (numbers.length - 1)) * sparkWidth).toFixed(1)
  const y = value => (sparkHeight - 1 - (value / top) * (sparkHeight - 3)).toFixed(1)
  const line = numbers.map((value, index) => `${x(index)} ${y(value)}`).join(' L')
  const area = `0 ${sparkHeight} L${line} L${sparkWidth} ${sparkHeight}`
  return html`<svg
    viewBox="0 0 ${sparkWidth} ${sparkHeight}"
    width=${sparkWidth}
    height=${sparkHeight}
    aria-hidden="true"
  >
    <path class="area" d="M${area} Z" />
    <path class="line" d="M${line}" />
  </svg>`
}

/** The age of the oldest ready message: over an hour is marked. */
export const Oldest = ({ seconds }) =>
  html`<span class=${seconds > 3600 ? 'warn' : ''}>${duration(seconds)}</span>`

const liveMarks = {
  live: ['good', 'Live'],
  connecting: ['', 'Connecting'],
  trouble: ['bad', 'Database unreachable. These figures are old.'],
  away: ['bad', 'Not connected. Trying again.'],
  full: ['bad', 'Too many pages are open. Close one.']
}

/**
 * Says whether the figures on the page are live.
 * @param {{ state: import('./live.js').LiveState }} props
 */
export function LiveMark({ state }) {
  const [kind, text] = liveMarks[state]
  return html`<span class="live ${kind}" role="status">${text}</span>`
}
