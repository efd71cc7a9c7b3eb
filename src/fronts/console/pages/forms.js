/**
 * The forms of a queue: its settings, and one message to enqueue. What is refused is shown at the
 * field that it is about.
 */
import { html, useState } from './vendor/htm.js'
import { call, callText } from './api.js'
import { above, closeDialog, Dialog, ProblemNote } from './ui.js'

/** One field with its label, its hint and what is wrong with it. */
export function Field({ label, hint = '', pointer, problem, children }) {
  const fault = problem?.errors?.find(one => one.pointer === pointer || one.pointer === `query${pointer}`)
  return html`<div class="field ${fault ? 'wrong' : ''}">
    <label>${label}${children}</label
    >${fault ? html`<small class="fault" role="alert">${label} ${fault.message}.</small>` : hint && html`<small>${hint}</small>`}
  </div>`
}

const settingFields = [
  ['leaseSeconds', 'Lease, in seconds', 'How long a worker has a message when it does not say.'],
  ['maxAttempts', 'Attempts', 'After so many that ended badly a message is dead.'],
  ['retry.delaySeconds', 'Retry after, in seconds', 'After the first failed attempt.'],
  ['retry.maxDelaySeconds', 'At most, in seconds', 'No delay is longer.'],
  ['retentionSeconds', 'Kept for, in seconds', 'In any state, from its enqueue.'],
  ['keepAckedSeconds', 'Acked ones kept for, in seconds', '0: removed with the ack.'],
  ['dedupSeconds', 'Idempotency keys hold for, in seconds', ''],
  ['maxDepth', 'Depth at most', 'Empty: no bound.']
]

/** Changes the settings of a queue, or makes a new one where `queue` is null. */
export function SettingsDialog({ queue, settings, onDone }) {
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const [busy, setBusy] = useState(false)
  const before = path => path.split('.').reduce((value, name) => value?.[name], settings) ?? ''
  const save = async event => {
    event.preventDefault()
    const form = new FormData(event.target)
    const change = /** @type {any} */ ({})
    const put = (path, value) => {
      const [first, second] = path.split('.')
      if (second === undefined) change[first] = value
      else change[first] = { ...change[first], [second]: value }
    }
    for (const [path] of settingFields) {
      const text = String(form.get(path)).trim()
      if (text !== String(before(path))) {
        put(path, text === '' ? null : Number.isNaN(Number(text)) ? text : Number(text))
      }
    }
    if (form.get('retry.strategy') !== (settings?.retry.strategy ?? 'exponential')) {
      put('retry.strategy', form.get('retry.strategy'))
    }
    if (form.has('retry.jitter') !== (settings?.retry.jitter ?? true)) {
      put('retry.jitter', form.has('retry.jitter'))
    }
    const name = queue ?? String(form.get('name')).trim()
    setBusy(true)
    try {
      await call('PUT', `/queues/${encodeURIComponent(name)}`, change)
      closeDialog()
      above.toast(queue === null ? `${name} is there.` : 'The settings are changed.')
      onDone(name)
    } catch (error) {
      setProblem(error)
      setBusy(false)
    }
  }
  const faults =
    problem?.errors?.filter(
      ({ pointer }) =>
        !settingFields.some(([path]) => pointer === `/${path.replace('.', '/')}`) && pointer !== 'path/queue'
    ) ?? []
  return html`<${Dialog} title=${queue === null ? 'New queue' : `Settings of ${queue}`} wide>
    <form onSubmit=${save} noValidate>
      ${queue === null && html`<${Field} label="Name" pointer="path/queue" problem=${problem} hint="A–Z a–z 0–9 _ . - ; it cannot be changed later."><input name="name" required autofocus spellcheck=${false} /></${Field}>`}
      <div class="grid">
        ${settingFields.slice(0, 2).map((field, i) => html`<${Setting} field=${field} value=${before(field[0])} problem=${problem} first=${queue !== null && i === 0} />`)}
        <${Field} label="Retries" pointer="/retry/strategy" problem=${problem} hint="How the delay grows."><select name="retry.strategy">${['exponential', 'linear', 'fixed'].map(one => html`<option value=${one} selected=${one === (settings?.retry.strategy ?? 'exponential')}>${one}</option>`)}</select></${Field}>
        <label class="check"><input type="checkbox" name="retry.jitter" checked=${settings?.retry.jitter ?? true} />Spread at random, so that those that failed together do not come back together</label>
        ${settingFields.slice(2).map(field => html`<${Setting} field=${field} value=${before(field[0])} problem=${problem} />`)}
      </div>
      <${ProblemNote} problem=${problem && (faults.length > 0 || problem.errors.length === 0) ? problem : null} />
      <footer><button type="button" onClick=${closeDialog}>Cancel</button><button class="primary" disabled=${busy}>${queue === null ? 'Make it' : 'Save'}</button></footer>
    </form>
  </${Dialog}>`
}

function Setting({ field: [path, label, hint], value, problem, first = false }) {
  return html`<${Field} label=${label} hint=${hint} pointer="/${path.replace('.', '/')}" problem=${problem}><input name=${path} inputmode="decimal" autocomplete="off" defaultValue=${String(value)} autofocus=${first} /></${Field}>`
}

/** `name: value` lines as headers. @param {string} text */
export function headersOf(text) {
  /** @type {[string, string][]} */
  const entries = text
    .split('\n')
    .filter(line => line.trim() !== '')
    .map(line => {
      const at = line.indexOf(':')
      return at < 0 ? [line.trim(), ''] : [line.slice(0, at).trim(), line.slice(at + 1).trim()]
    })
  return Object.fromEntries(entries)
}

/** @param {string} text */
export function jsonFault(text) {
  try {
    JSON.parse(text)
    return null
  } catch (/** @type {any} */ error) {
    return error.message
  }
}

/** Enqueues one message: JSON goes as it is typed, text as text/plain. */
export function EnqueueDialog({ queue, onDone }) {
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const [kind, setKind] = useState('json')
  const [busy, setBusy] = useState(false)
  const send = async event => {
    event.preventDefault()
    const form = new FormData(event.target)
    const body = String(form.get('body'))
    const options = Object.fromEntries(
      ['priority', 'delaySeconds', 'ttlSeconds', 'maxAttempts'].flatMap(name => {
        const text = String(form.get(name)).trim()
        return text === '' ? [] : [[name, Number.isNaN(Number(text)) ? text : Number(text)]]
      })
    )
    const key = String(form.get('idempotencyKey')).trim()
    const fault = kind === 'json' ? jsonFault(body) : null
    if (fault !== null) {
      return setProblem({ message: '', errors: [{ pointer: '/body', message: `is not JSON: ${fault}` }] })
    }
    setBusy(true)
    try {
      const path = `/queues/${encodeURIComponent(queue)}/messages`
      const headers = headersOf(String(form.get('headers') ?? ''))
      const texts = /** @type {any} */ (options)
      const extra = JSON.stringify({
        ...(Object.keys(headers).length > 0 && { headers }),
        ...options,
        ...(key !== '' && { idempotencyKey: key })
      }).slice(1)
      const answer =
        kind === 'json'
          ? // as typed: not read and written anew
            await callText('POST', path, `{"body":${body}${extra === '}' ? '}' : `,${extra}`}`)
          : await callText(
              'POST',
              `${path}?${new URLSearchParams({ ...texts, ...(key !== '' && { idempotencyKey: key }) })}`,
              body,
              { 'content-type': 'text/plain; charset=utf-8' }
            )
      const { id, duplicate } = JSON.parse(answer)
      closeDialog()
      above.toast(
        duplicate
          ? `The key stood for message ${id} already; nothing new was stored.`
          : `Message ${id} is enqueued.`
      )
      onDone()
    } catch (error) {
      setProblem(error)
      setBusy(false)
    }
  }
  const pointers = [
    '/body',
    '/headers',
    '/priority',
    '/delaySeconds',
    '/ttlSeconds',
    '/maxAttempts',
    '/idempotencyKey'
  ]
  const elsewhere =
    problem !== null &&
    problem.message !== '' &&
    !problem.errors.some(({ pointer }) => pointers.includes(pointer.replace('query', '')))
  const option = (name, label, hint) =>
    html`<${Field} label=${label} hint=${hint} pointer="/${name}" problem=${problem}><input name=${name} inputmode="decimal" autocomplete="off" /></${Field}>`
  return html`<${Dialog} title="Enqueue to ${queue}" wide>
    <form onSubmit=${send} noValidate>
      <div class="segments" role="radiogroup" aria-label="What the body is">${[
        ['json', 'JSON'],
        ['text', 'Text']
      ].map(
        ([value, label]) =>
          html`<label
            ><input
              type="radio"
              name="kind"
              value=${value}
              checked=${kind === value}
              onChange=${() => setKind(value)}
            />${label}</label
          >`
      )}</div>
      <${Field} label="Body" pointer="/body" problem=${problem} hint=${kind === 'json' ? 'It arrives exactly as typed.' : 'It arrives as text/plain.'}><textarea name="body" rows="8" spellcheck=${false} autofocus placeholder=${kind === 'json' ? '{"to": "ada@example.org"}' : ''}></textarea></${Field}>
      ${kind === 'json' && html`<${Field} label="Headers" pointer="/headers" problem=${problem} hint="One a line, as name: value."><textarea name="headers" rows="2" spellcheck=${false}></textarea></${Field}>`}
      <div class="grid">
        ${option('priority', 'Priority', '0 to 9, higher first; 4 if left out.')}${option('delaySeconds', 'Delay, in seconds', '')}${option('ttlSeconds', 'Time to live, in seconds', 'Removed if nobody leased it.')}${option('maxAttempts', 'Attempts', "Instead of the queue's.")}
      </div>
      <${Field} label="Idempotency key" pointer="/idempotencyKey" problem=${problem} hint="The same key with the same content is the same message."><input name="idempotencyKey" autocomplete="off" spellcheck=${false} /></${Field}>
      <${ProblemNote} problem=${elsewhere ? problem : null} />
      <footer><button type="button" onClick=${closeDialog}>Cancel</button><button class="primary" disabled=${busy}>Enqueue</button></footer>
    </form>
  </${Dialog}>`
}
