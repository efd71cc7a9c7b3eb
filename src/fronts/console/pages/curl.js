/** Copies an action as a command for curl. */
import { html, useState } from './vendor/htm.js'
import { root, storedKey } from './api.js'
import { curlOf } from './shell.js'

/** @typedef {import('./shell.js').Request} Request */

/** A browser gives no clipboard to a page that came over plain HTTP from another machine. */
const copied = text =>
  navigator.clipboard?.writeText(text).then(
    () => true,
    () => false
  ) ?? Promise.resolve(false)

/**
 * A button of a form that copies what the form would send, or shows it where it cannot be copied.
 * @param {{ title?: string, requestsOf: (form: FormData) => Request[] }} props
 */
export function CopyCurl({ title = 'Copy as curl', requestsOf }) {
  const [result, setResult] = useState(/** @type {{ note?: string, fault?: string, text?: string }} */ ({}))
  const copy = async event => {
    const form = event.currentTarget.form
    try {
      const requests = requestsOf(form === null ? new FormData() : new FormData(form))
      const text = requests.map(request => curlOf(request, root, storedKey() !== null)).join('\n')
      setResult((await copied(text)) ? { note: noteOf(requests.length) } : { text })
    } catch (/** @type {any} */ error) {
      const [fault] = error.errors ?? []
      setResult({ fault: fault ? `${fault.pointer.slice(1)} ${fault.message}` : error.message })
    }
  }
  const { note, fault, text } = result
  return html`<div class="curl">
    <button type="button" class="link" onClick=${copy}>${title}</button>
    <small role="status">${note}</small>
    ${fault && html`<small class="fault" role="alert">${fault}</small>`}
    ${text && html`<pre tabindex="0" aria-label="Command"><code>${text}</code></pre>`}
  </div>`
}

function noteOf(commands) {
  const key = storedKey() === null ? '' : ' Set HOLDFAST_KEY to your key first.'
  return `${commands === 1 ? 'Copied.' : `Copied ${commands} commands.`}${key}`
}
