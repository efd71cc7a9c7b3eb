/** The form of a push, and the secret that its answer shows once. */
import { html } from './vendor/htm.js'
import { perform, queuePath } from './api.js'
import { CopyCurl } from './curl.js'
import { above, closeDialog, Dialog, useSubmit } from './dialog.js'
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
import { pushDefaults } from './tables.js'
import { Command } from './ui.js'

/** @param {string} queue */
export const pushPath = queue => `${queuePath(queue)}/push`

/**
 * Makes a push where `push` is null, else changes it.
 * @param {string} queue
 * @param {object | null} push
 * @param {() => void} onDone
 */
export const openPushForm = (queue, push, onDone) =>
  above.dialog(html`<${PushDialog} queue=${queue} push=${push} onDone=${onDone} />`)

const pointers = ['/url', '/maxConcurrent', '/timeoutSeconds', '/headers']
const headersHint = 'One field a line, as name: value. They are stored as they are.'

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

/** Shows the secret of a push, only now. */
export function SecretDialog({ queue, secret }) {
  return html`<${Dialog} title=${`Secret of ${queue}`}>
    <p>Every request is signed with it. It is shown only now, so copy it to your endpoint.</p>
    <${Command} text=${secret} />
    <footer><button class="primary" autofocus onClick=${closeDialog}>I have copied it</button></footer>
  </${Dialog}>`
}
