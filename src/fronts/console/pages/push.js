/** Where a queue is delivered to, and the last deliveries. Read while the part is open. */
import { html } from './vendor/htm.js'
import { messageAddress } from './address.js'
import { get } from './api.js'
import { ago, count } from './format.js'
import { useAnswer } from './hooks.js'
import { askToDelete, askToRotate, askToTest } from './pushActions.js'
import { openPushForm, pushPath } from './pushDialog.js'
import { Ago, Part, ProblemNote } from './ui.js'

const readMs = 3000

export const Push = ({ queue }) => html`<${Part} title="Push"><${FoundPush} queue=${queue} /></${Part}>`

function FoundPush({ queue }) {
  const read = () => get(pushPath(queue))
  const { answer, problem, readNow } = useAnswer(read, { inputs: [queue], everyMs: readMs })
  if (problem?.code === 'pushNotFound') return html`<${NoPush} queue=${queue} onDone=${readNow} />`
  if (problem) return html`<${ProblemNote} problem=${problem} />`
  return answer && html`<${PushReport} queue=${queue} push=${answer} onDone=${readNow} />`
}

function NoPush({ queue, onDone }) {
  return html`
    <p class="hint">Without a worker, the service can send each message to an HTTP endpoint.</p>
    <button onClick=${() => openPushForm(queue, null, onDone)}>Set up push</button>
  `
}

function PushReport({ queue, push, onDone }) {
  const { url, maxConcurrent, timeoutSeconds, slowed, deliveries } = push
  return html`
    <p>
      <code>POST ${url}</code>
      <span class="hint"> ${count(maxConcurrent)} at a time, within ${timeoutSeconds} s</span>
    </p>
    ${slowed && html`<p class="warn">${slowedText(slowed)}</p>`}
    <div class="push-buttons">
      <button onClick=${() => askToTest(queue)}>Test …</button>
      <button onClick=${() => openPushForm(queue, push, onDone)}>Edit push</button>
      <button onClick=${() => askToRotate(queue, onDone)}>Replace secret …</button>
      <button class="danger" onClick=${() => askToDelete(queue, url, onDone)}>Delete push …</button>
    </div>
    <p class="hint">${deliveriesHint}</p>
    ${deliveries.length > 0 && html`<${Deliveries} queue=${queue} deliveries=${deliveries} />`}
  `
}

const deliveriesHint =
  'The last deliveries of the replica that answers, since its start. Other replicas remember their own. ' +
  'The history of a message has each of its attempts that failed.'

const slowedText = ({ failures, reason, until }) =>
  `The endpoint failed ${count(failures)} times in a row, so deliveries are slowed down. ` +
  `The next one is tried ${ago(until)}. It said last: ${reason}`

function Deliveries({ queue, deliveries }) {
  return html`<div class="sheet">
    <table class="rows deliveries">
      <thead>
        <tr>
          <th>Message</th>
          <th class="n">Attempt</th>
          <th>Answer</th>
          <th class="n">Took</th>
          <th class="n">Sent</th>
        </tr>
      </thead>
      <tbody>
        ${deliveries.map(
          ({ id, attempt, at, outcome, status, seconds, reason }) =>
            html`<tr key=${`${id} ${at}`}>
              <td><a href=${messageAddress(queue, id)}>${id}</a></td>
              <td class="n">${count(attempt)}</td>
              <td class=${outcome === 'delivered' ? '' : 'warn'}>${reason ?? status}</td>
              <td class="n">${Math.round(seconds * 1000)} ms</td>
              <td class="n"><${Ago} at=${at} /></td>
            </tr>`
        )}
      </tbody>
    </table>
  </div>`
}
