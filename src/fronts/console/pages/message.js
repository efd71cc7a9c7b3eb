/** One message: its state and why, its history, its body, and what can be done to it. */
import { html } from './vendor/htm.js'
import { askForIds } from './actions.js'
import { groupAddress, messageAddress, queueAddress, topicAddress } from './address.js'
import { get, getText, queuePath } from './api.js'
import { Body, Headers } from './body.js'
import { time } from './clock.js'
import { ago, attemptOf } from './format.js'
import { useAnswer } from './hooks.js'
import { readMessages } from './json.js'
import { may } from './rights.js'
import { Timeline } from './timeline.js'
import { Badge, Pair, ProblemNote, ReloadButton } from './ui.js'

const readMs = 5000

/** The message, and why it is in its state. */
async function readMessage(queue, id) {
  const path = `${queuePath(queue)}/messages/${encodeURIComponent(id)}`
  const [text, explained] = await Promise.all([getText(path), get(`${path}/explain`)])
  return { message: readMessages(text), explained }
}

export function MessagePage({ queue, id }) {
  const { answer, problem, readNow } = useAnswer(() => readMessage(queue, id), {
    inputs: [queue, id],
    everyMs: readMs
  })
  if (problem?.code === 'messageNotFound') {
    return html`<${MessageFrame} queue=${queue} id=${id}>
      <${MissingMessage} queue=${queue} seen=${answer !== null} />
    </${MessageFrame}>`
  }
  if (answer === null) {
    return html`<${MessageFrame} queue=${queue} id=${id}>
      <${ProblemNote} problem=${problem} again=${readNow} />
    </${MessageFrame}>`
  }
  const { message, explained } = answer
  const actions = html`<${MessageActions} queue=${queue} message=${message} readNow=${readNow} />`
  return html`<${MessageFrame} queue=${queue} id=${message.id} actions=${actions}>
    <${ProblemNote} problem=${problem} />
    <${Why} queue=${queue} explained=${explained} />
    ${message.movedTo && html`<${MovedLink} message=${message} />`}
    <div class="two">
      <section aria-labelledby="body-title">
        <h2 id="body-title">Body</h2>
        <${Body} message=${message} />
        ${Object.keys(message.headers).length > 0 && html`<h2>Headers</h2>`}
        <${Headers} headers=${message.headers} />
        ${message.resultText !== undefined && html`<${Result} message=${message} />`}
        <h2>Details</h2>
        <${Details} queue=${queue} message=${message} />
      </section>
      <section aria-labelledby="timeline-title">
        <h2 id="timeline-title">History</h2>
        <${Timeline} queue=${queue} message=${message} />
      </section>
    </div>
  </${MessageFrame}>`
}

/** The page with its heading. */
function MessageFrame({ queue, id, actions, children }) {
  return html`<main class="page">
    <p class="crumbs"><a href="#/">Queues</a> / <a href=${queueAddress(queue)}>${queue}</a> /</p>
    <div class="heading">
      <h1>Message ${id}</h1>
      ${actions}
    </div>
    ${children}
  </main>`
}

function MissingMessage({ queue, seen }) {
  return html`<div class="empty">
    <h2>${seen ? 'This message is gone' : 'There is no such message'}</h2>
    <p>
      A message goes when it is acked or deleted, or when it expires. An acked message is kept for its queue's
      <code>keepAckedSeconds</code>.
    </p>
    <a class="button" href=${queueAddress(queue)}>Back to ${queue}</a>
  </div>`
}

/** The state of the message, and the buttons that change it. */
function MessageActions({ queue, message: { id, state, origin, movedTo }, readNow }) {
  const manage = may('manage', queue) && !movedTo
  const home = origin && state !== 'leased'
  const button = (verb, kind, title) =>
    html`<button class=${kind} onClick=${() => askForIds(verb, queue, [id], readNow)}>${title}</button>`
  return html`
    <${Badge} kind=${state} />
    <span class="spacer"></span>
    ${manage && home && button('redrive', 'primary', `Redrive to ${origin.queue} …`)}
    ${manage && !home && state === 'dead' && button('redrive', 'primary', 'Redrive …')}
    ${manage && state === 'delayed' && button('retry', 'primary', 'Retry now …')}
    ${manage && state !== 'leased' && button('purge', 'danger', 'Delete …')}
    <${ReloadButton} onClick=${readNow} />
  `
}

/** What the ack said came of the work. */
function Result({ message: { id, resultText } }) {
  const shown = { id: `${id}-result`, contentType: 'application/json', bodyText: resultText }
  return html`<h2>Result</h2>
    <${Body} message=${shown} />`
}

function Details({ queue, message }) {
  const { group, attempt, maxAttempts, priority, enqueuedAt, visibleAt, topic, routingKey, origin, unique } =
    message
  return html`<dl class="pairs">
    <${Pair} title="Attempt">${attemptOf(attempt, maxAttempts)}</${Pair}>
    <${Pair} title="Priority">${priority}</${Pair}>
    ${
      group !== undefined &&
      html`<${Pair} title="Group"><a href=${groupAddress(queue, group)}>${group}</a></${Pair}>`
    }
    ${
      topic !== undefined &&
      html`<${Pair} title="Topic">
        <a href=${topicAddress(topic)}>${topic}</a>
        ${routingKey !== undefined && ` · ${routingKey}`}
      </${Pair}>`
    }
    <${Pair} title="Enqueued">${time(enqueuedAt)} (${ago(enqueuedAt)})</${Pair}>
    ${visibleAt && html`<${Pair} title="Ready at">${time(visibleAt)} (${ago(visibleAt)})</${Pair}>`}
    ${unique && html`<${Pair} title="Unique key"><code>${unique.key}</code> until ${unique.until}</${Pair}>`}
    ${origin && html`<${Origin} origin=${origin} />`}
  </dl>`
}

/** Where a message of a dead-letter queue died. */
function Origin({ origin: { queue, diedAt, reason, attempts } }) {
  return html`
    <${Pair} title="Died in">
      <a href=${queueAddress(queue)}>${queue}</a>, ${time(diedAt)} (${ago(diedAt)})
    </${Pair}>
    <${Pair} title="Attempts there">${attempts}</${Pair}>
    ${reason && html`<${Pair} title="Reason there">${reason}</${Pair}>`}
  `
}

function MovedLink({ message: { id, movedTo } }) {
  return html`<p><a href=${messageAddress(movedTo, id)}>See it in ${movedTo}</a></p>`
}

const utcTime = /\d{4}-\d\d-\d\dT[\d:.]+Z/g

/** Why the message is in its state, in the words of the service. Times are on the clock of the pages. */
function Why({ queue, explained: { state, reasons } }) {
  return html`<section class="why ${state}" aria-labelledby="why-title">
    <h2 id="why-title">Why it is ${state}</h2>
    <ul>
      ${reasons.map(
        ({ detail, by }) =>
          html`<li>
            <p>${detail.replaceAll(utcTime, at => time(at))}</p>
            ${by && html`<p><a href=${messageAddress(queue, by.id)}>Message ${by.id}</a></p>`}
          </li>`
      )}
    </ul>
  </section>`
}
