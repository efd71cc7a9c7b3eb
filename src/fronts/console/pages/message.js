/** One message: where it is and why, its whole history, its body; and what can be done to it. */
import { html, useEffect, useState } from './vendor/htm.js'
import { askForIds } from './actions.js'
import { queueAddress } from './address.js'
import { call, callText, may } from './api.js'
import { Body, Headers } from './body.js'
import { ago, duration, time } from './format.js'
import { readMessages } from './json.js'
import { Badge, ProblemNote } from './ui.js'

const againMs = 5000

export function MessagePage({ queue, id }) {
  const path = `/queues/${encodeURIComponent(queue)}/messages/${encodeURIComponent(id)}`
  const [message, setMessage] = useState(/** @type {any} */ (null))
  const [explained, setExplained] = useState(/** @type {any} */ (null))
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const read = async () => {
    try {
      const [text, why] = await Promise.all([callText('GET', path), call('GET', `${path}/explain`)])
      setMessage(readMessages(text))
      setExplained(why)
      setProblem(null)
    } catch (error) {
      setProblem(error)
    }
  }
  useEffect(() => {
    read()
    const timer = setInterval(() => {
      if (!document.hidden) read()
    }, againMs)
    return () => clearInterval(timer)
  }, [path])

  const crumbs = html`<p class="crumbs">
    <a href="#/">Queues</a> / <a href=${queueAddress(queue)}>${queue}</a> /
  </p>`
  const gone = problem?.code === 'messageNotFound'
  if (message === null || gone) {
    return html`<main class="page">
      ${crumbs}
      <div class="heading"><h1>Message ${id}</h1></div>
      ${
        gone
          ? html`<div class="empty">
              <h3>The message is not there${message === null ? '' : ' any more'}</h3>
              <p>
                It was acked, cancelled, purged, or its time was over; an acked message stays only where the
                queue's <code>keepAckedSeconds</code> says so.
              </p>
              <a class="button" href=${queueAddress(queue)}>Back to ${queue}</a>
            </div>`
          : html`<${ProblemNote} problem=${problem} again=${read} />`
      }
    </main>`
  }
  const { state } = message
  const manage = may('manage', queue)
  const act = (verb, title) =>
    html`<button
      class=${verb === 'purge' ? 'danger' : 'primary'}
      onClick=${() => askForIds(verb, queue, [message.id], read)}
    >
      ${title}
    </button>`
  return html`<main class="page">
    ${crumbs}
    <div class="heading">
      <h1>Message ${message.id}</h1>
      <${Badge} kind=${state} /><span class="spacer"></span>
      ${manage && state === 'dead' && act('redrive', 'Redrive …')}${manage && state === 'delayed' && act('retry', 'Retry now …')}${manage && state !== 'leased' && act('purge', 'Cancel …')}
      <button class="quiet" data-key="r" onClick=${read} title="Load again (r)">Load again</button>
    </div>
    <${ProblemNote} problem=${problem} />
    ${explained && html`<${Why} explained=${explained} />`}
    <div class="two">
      <section aria-labelledby="body-title">
        <h2 id="body-title">Body</h2>
        <${Body} message=${message} />
        ${
          Object.keys(message.headers).length > 0 &&
          html`<h2>Headers</h2>
            <${Headers} headers=${message.headers} />`
        }
        <h2>Facts</h2>
        <dl class="pairs">
          <dt>Attempt</dt>
          <dd>${message.attempt} of ${message.maxAttempts}</dd>
          <dt>Priority</dt>
          <dd>${message.priority}</dd>
          <dt>Enqueued</dt>
          <dd>${time(message.enqueuedAt)} (${ago(message.enqueuedAt)})</dd>
          ${
            message.visibleAt &&
            html`<dt>Ready</dt>
              <dd>${time(message.visibleAt)} (${ago(message.visibleAt)})</dd>`
          }
        </dl>
      </section>
      <section aria-labelledby="timeline-title">
        <h2 id="timeline-title">History</h2>
        <${Timeline} message=${message} />
      </section>
    </div>
  </main>`
}

function Why({ explained }) {
  const title =
    explained.state === 'acked' || explained.state === 'dead' ? 'Where it is' : 'Why it is where it is'
  return html`<section class="why ${explained.state}" aria-labelledby="why-title">
    <h2 id="why-title">${title}</h2>
    <ul>
      ${explained.reasons.map(reason => html`<li><p>${reason.detail.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, time)}</p></li>`)}
    </ul>
  </section>`
}

const outcomes = { failed: 'Failed', expired: 'Its lease ran out', released: 'Given back' }

function Timeline({ message }) {
  const { enqueuedAt, history, lease, state, visibleAt, attempt } = message
  const events = [
    { kind: 'ready', at: enqueuedAt, title: 'Enqueued', text: '' },
    ...history.map(one => ({
      kind: one.outcome === 'released' ? 'ready' : 'dead',
      at: one.endedAt,
      title: `Attempt ${one.attempt}: ${outcomes[one.outcome].toLowerCase()}`,
      text: `${one.worker === null ? '' : `${one.worker} had it `}${one.leasedAt === null ? '' : `for ${duration((Date.parse(one.endedAt) - Date.parse(one.leasedAt)) / 1000)}, from ${time(one.leasedAt)}`}`,
      reason: one.reason
    })),
    ...(state === 'leased' && lease
      ? [
          {
            kind: 'leased',
            at: lease.leasedAt,
            title: `Attempt ${attempt}: leased`,
            text: `${lease.worker} has it until ${time(lease.expiresAt)} (${ago(lease.expiresAt)})`
          }
        ]
      : []),
    ...(state === 'delayed' && visibleAt
      ? [{ kind: 'delayed', at: visibleAt, title: 'Ready again', text: '' }]
      : []),
    ...(state === 'dead'
      ? [
          {
            kind: 'dead',
            at: null,
            title: 'Dead',
            text: 'No attempts are left. Redrive it when the cause is mended.'
          }
        ]
      : []),
    ...(state === 'acked'
      ? [{ kind: 'acked', at: null, title: 'Acked', text: `In attempt ${attempt}.` }]
      : []),
    ...(state === 'ready' ? [{ kind: 'ready', at: null, title: 'Ready', text: 'Waiting to be leased.' }] : [])
  ]
  return html`<ol class="timeline">
    ${events.map(
      ({ kind, at, title, text, reason }) =>
        html`<li class=${kind}>
          <p>
            <b>${title}</b>${at && html` <time datetime=${at} title=${at}>${time(at)} · ${ago(at)}</time>`}
          </p>
          ${text && html`<p class="hint">${text}</p>`}${reason && html`<pre class="reason-text" tabindex="0">${reason}</pre>`}
        </li>`
    )}
  </ol>`
}
