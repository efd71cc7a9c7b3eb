/** Where a queue is delivered to: set, test, replace the secret, delete; and the last deliveries. */
import { html, useState } from './vendor/htm.js'
import { messageAddress } from './address.js'
import { get, perform, queuePath } from './api.js'
import { CopyCurl } from './curl.js'
import { above, closeDialog, confirm, Dialog, useSubmit } from './dialog.js'
import { ago, count } from './format.js'
import {
  Field,
  FormEnd,
  HeadersField,
  headersOf,
  linesOf,
  numberOf,
  SecondsInput,
  TextField,
  typed
} from './forms.js'
import { useAnswer } from './hooks.js'
import { pushDefaults } from './tables.js'
import { Ago, Command, ProblemNote } from './ui.js'

const readMs = 3000
const pushPath = queue => `${queuePath(queue)}/push`

export function Push({ queue }) {
  const [open, setOpen] = useState(false)
  const {
    answer: push,
    problem,
    readNow
  } = useAnswer(() => get(pushPath(queue)), { inputs: [queue], everyMs: readMs, isWanted: open })
  const isNone = problem?.code === 'pushNotFound'
  return html`<details class="part" open=${open} onToggle=${event => setOpen(event.target.open)}>
    <summary><h2>Push</h2></summary>
    <${ProblemNote} problem=${isNone ? null : problem} />
    ${isNone && html`<${NoPush} queue=${queue} onDone=${readNow} />`}
    ${push && !problem && html`<${Found} queue=${queue} push=${push} onDone=${readNow} />`}
  </details>`
}

function NoPush({ queue, onDone }) {
  return html`
    <p class="hint">Without a worker, the service can send each message to an HTTP endpoint.</p>
    <button onClick=${() => openForm(queue, null, onDone)}>Set up push</button>
  `
}

function Found({ queue, push, onDone }) {
  const { url, maxConcurrent, timeoutSeconds, slowed, deliveries } = push
  return html`
    <p>
      <code>POST ${url}</code>
      <span class="hint"> ${count(maxConcurrent)} at a time, within ${timeoutSeconds} s</span>
    </p>
    ${slowed && html`<p class="warn">${slowedText(slowed)}</p>`}
    <div class="push-buttons">
      <button onClick=${() => askToTest(queue)}>Test …</button>
      <button onClick=${() => openForm(queue, push, onDone)}>Edit push</button>
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

function askToTest(queue) {
  confirm({
    title: `Send a test for ${queue}?`,
    text: 'The endpoint gets a signed request without a message.',
    yes: 'Send test',
    requests: [{ method: 'POST', path: `${pushPath(queue)}/test` }],
    onDone: ([{ delivered, status, seconds, reason }]) => {
      const answer = delivered ? `The endpoint answered ${status}` : reason
      above.toast(`${answer}, after ${Math.round(seconds * 1000)} ms.`, !delivered)
    }
  })
}

function askToRotate(queue, onDone) {
  confirm({
    title: `Replace the secret of ${queue}?`,
    text: 'The old secret signs too for a day. The new one is shown once.',
    yes: 'Replace secret',
    requests: [{ method: 'POST', path: `${pushPath(queue)}/rotate` }],
    onDone: ([{ secret }]) => {
      onDone()
      above.dialog(html`<${SecretDialog} queue=${queue} secret=${secret} />`)
    }
  })
}

function askToDelete(queue, url, onDone) {
  confirm({
    title: `Delete the push of ${queue}?`,
    text: `Nothing more is sent to ${url}. The messages stay in the queue.`,
    yes: 'Delete push',
    danger: true,
    requests: [{ method: 'DELETE', path: pushPath(queue) }],
    onDone
  })
}

const openForm = (queue, push, onDone) =>
  above.dialog(html`<${PushDialog} queue=${queue} push=${push} onDone=${onDone} />`)

const pointers = ['/url', '/maxConcurrent', '/timeoutSeconds', '/headers']
const headersHint = 'One field a line, as name: value. They are stored as they are.'

/** Makes a push where `push` is null, else changes it. */
function PushDialog({ queue, push, onDone }) {
  const requestOf = form => {
    const numberIn = name => (typed(form, name) === '' ? pushDefaults[name] : numberOf(typed(form, name)))
    const body = {
      url: typed(form, 'url'),
      maxConcurrent: numberIn('maxConcurrent'),
      timeoutSeconds: numberIn('timeoutSeconds'),
      headers: headersOf(typed(form, 'headers'))
    }
    return { method: 'PUT', path: pushPath(queue), body }
  }
  const { busy, problem, onSubmit } = useSubmit(async formElement => {
    const { secret } = await perform(requestOf(new FormData(formElement)))
    closeDialog()
    onDone()
    if (secret === undefined) above.toast(`Push of ${queue} saved.`)
    else above.dialog(html`<${SecretDialog} queue=${queue} secret=${secret} />`)
  })
  const { url = '', maxConcurrent, timeoutSeconds, headers } = { ...pushDefaults, ...push }
  return html`<${Dialog} title=${`Push of ${queue}`} wide>
    <form onSubmit=${onSubmit} noValidate>
      <${TextField}
        name="url"
        label="URL"
        value=${url}
        hint="Each message is sent there by POST."
        problem=${problem}
        type="url"
        autofocus
      />
      <div class="grid">
        <${TextField}
          name="maxConcurrent"
          label="Requests at a time"
          value=${maxConcurrent}
          hint="Of each replica."
          problem=${problem}
          inputmode="numeric"
        />
        <${Field} label="Timeout, in seconds" pointer="/timeoutSeconds" problem=${problem}>
          <${SecondsInput} name="timeoutSeconds" value=${String(timeoutSeconds)} />
        </${Field}>
      </div>
      <${HeadersField} value=${linesOf(headers)} problem=${problem} hint=${headersHint} />
      <${CopyCurl} requestsOf=${form => [requestOf(form)]} />
      <${FormEnd} problem=${problem} pointers=${pointers} yes="Save" busy=${busy} />
    </form>
  </${Dialog}>`
}

function SecretDialog({ queue, secret }) {
  return html`<${Dialog} title=${`Secret of ${queue}`}>
    <p>Every request is signed with it. It is shown only now, so copy it to your endpoint.</p>
    <${Command} text=${secret} />
    <footer><button class="primary" autofocus onClick=${closeDialog}>I have copied it</button></footer>
  </${Dialog}>`
}
