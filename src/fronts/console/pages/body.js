/** A message's body and headers, whatever they are: all of it as text, never as markup. */
import { html, useState } from './vendor/htm.js'
import { bytes, count } from './format.js'
import { hexDump, pretty } from './json.js'

const shownMax = 100_000
const colouredMax = 4000

/** One line of it, for a list. */
export function preview(message) {
  if (message.bodyBase64 !== undefined) return `${bytes(sizeOf(message))} of ${message.contentType}`
  return message.bodyText.slice(0, 240).replaceAll(/\s+/g, ' ')
}

function bytesOf({ bodyBase64 }) {
  return Uint8Array.from(atob(bodyBase64), letter => letter.charCodeAt(0))
}

function sizeOf(message) {
  return message.bodyBase64 !== undefined
    ? Math.floor((message.bodyBase64.replace(/=+$/, '').length * 3) / 4)
    : new TextEncoder().encode(message.bodyText).length
}

export function Body({ message }) {
  const [asItCame, setAsItCame] = useState(false)
  const [whole, setWhole] = useState(false)
  const isJson = message.contentType === 'application/json'
  const size = sizeOf(message)
  const save = () => {
    const url = URL.createObjectURL(
      new Blob([message.bodyBase64 !== undefined ? bytesOf(message) : message.bodyText], {
        type: 'application/octet-stream'
      })
    )
    const link = document.createElement('a')
    link.href = url
    link.download = `message-${message.id}${isJson ? '.json' : message.bodyBase64 === undefined ? '.txt' : '.bin'}`
    link.click()
    setTimeout(() => URL.revokeObjectURL(url), 1000)
  }
  return html`<div class="body">
    <div class="body-bar">
      <span>${message.contentType}, ${bytes(size)}</span><span class="spacer"></span>
      ${isJson && html`<button class="quiet" aria-pressed=${asItCame} onClick=${() => setAsItCame(!asItCame)}>${asItCame ? 'In lines' : 'As it came'}</button>`}
      ${message.bodyBase64 === undefined && html`<button class="quiet" onClick=${() => navigator.clipboard.writeText(message.bodyText)}>Copy</button>`}
      <button class="quiet" onClick=${save}>Download</button>
    </div>
    <pre tabindex="0">
${message.bodyBase64 !== undefined ? hex(message) : text(message, isJson && !asItCame, whole)}</pre>
    ${!whole && message.bodyBase64 === undefined && message.bodyText.length > shownMax && html`<button class="link" onClick=${() => setWhole(true)}>Show all ${count(message.bodyText.length)} characters</button>`}
  </div>`
}

function hex(message) {
  const all = bytesOf(message)
  return hexDump(all) + (all.length > 512 ? `\n… and ${bytes(all.length - 512)} more` : '')
}

function text({ bodyText }, inLines, whole) {
  if (!inLines || (bodyText.length > shownMax && !whole)) {
    return whole ? bodyText : bodyText.slice(0, shownMax)
  }
  const pieces = pretty(bodyText)
  return pieces.length > colouredMax
    ? pieces.map(piece => piece.text).join('')
    : pieces.map(({ kind, text }) => (kind === '' ? text : html`<span class="j-${kind}">${text}</span>`))
}

export function Headers({ headers }) {
  const entries = Object.entries(headers)
  if (entries.length === 0) return null
  return html`<dl class="pairs">
    ${entries.map(
      ([name, value]) =>
        html`<dt>${name}</dt>
          <dd>${value}</dd>`
    )}
  </dl>`
}
