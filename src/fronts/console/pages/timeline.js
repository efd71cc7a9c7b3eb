/** The history of a message, from its enqueue to its state now. */
import { html } from './vendor/htm.js'
import { time } from './clock.js'
import { ago, attemptOf, duration } from './format.js'

/**
 * @typedef {object} Event
 * @property {string} kind a state: it gives the colour
 * @property {string | null} at
 * @property {string} title
 * @property {string} text
 * @property {string | null} [reason]
 */

const outcomes = { failed: 'failed', expired: 'lease expired', released: 'released' }

/** @returns {Event} */
function attemptEvent({ queue, attempt, outcome, endedAt, leasedAt, worker, reason }, here) {
  const seconds = (Date.parse(endedAt) - Date.parse(leasedAt)) / 1000
  const by = worker === null ? '' : ` by ${worker}`
  const during = leasedAt === null ? '' : ` for ${duration(seconds)}, from ${time(leasedAt)}`
  return {
    kind: outcome === 'released' ? 'ready' : 'dead',
    at: endedAt,
    title: `Attempt ${attempt}${queue === here ? '' : ` in ${queue}`}: ${outcomes[outcome]}`,
    text: by + during === '' ? '' : `Held${by}${during}`,
    reason
  }
}

/**
 * What the message does now.
 * @returns {Event | null}
 */
function currentEvent({ state, attempt, maxAttempts, lease, visibleAt, movedTo }) {
  if (movedTo) return { kind: 'dead', at: null, title: `Dead: moved to ${movedTo}`, text: '' }
  if (state === 'leased' && lease) {
    return {
      kind: state,
      at: lease.leasedAt,
      title: `Attempt ${attempt}: leased`,
      text: `Held by ${lease.worker} until ${time(lease.expiresAt)} (${ago(lease.expiresAt)})`
    }
  }
  if (state === 'delayed' && visibleAt) return { kind: state, at: visibleAt, title: 'Ready again', text: '' }
  if (state === 'dead') {
    const when = `Dead in attempt ${attemptOf(attempt, maxAttempts)}`
    const text = `${when}: it is not tried again. Fix the cause, then redrive it.`
    return { kind: state, at: null, title: 'Dead', text }
  }
  if (state === 'acked') return { kind: state, at: null, title: 'Acked', text: `In attempt ${attempt}.` }
  if (state === 'ready') return { kind: state, at: null, title: 'Ready', text: 'It waits for a worker.' }
  return null
}

export function Timeline({ queue, message }) {
  const enqueued = { kind: 'ready', at: message.enqueuedAt, title: 'Enqueued', text: '' }
  const events = [
    enqueued,
    ...message.history.map(attempt => attemptEvent(attempt, queue)),
    currentEvent(message)
  ]
  return html`<ol class="timeline">
    ${events.map(event => event && html`<${TimelineEvent} ...${event} />`)}
  </ol>`
}

/** @param {Event} props */
function TimelineEvent({ kind, at, title, text, reason }) {
  return html`<li class=${kind}>
    <p><b>${title}</b>${at && html` <time datetime=${at} title=${at}>${time(at)} · ${ago(at)}</time>`}</p>
    ${text && html`<p class="hint">${text}</p>`}
    ${reason && html`<pre class="reason-text" tabindex="0">${reason}</pre>`}
  </li>`
}
