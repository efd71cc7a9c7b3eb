/** A message's body and headers. Whatever they hold is shown as text, never as markup. */
import { html, useState } from './vendor/htm.js'
import { bytes, count } from './format.js'
import { hexDump, pretty } from './json.js'

/** Longer bodies are cut at first, and not laid out in lines. */
const shownMax = 100_000
const colouredMax = 4000
const previewMax = 240
const hexBytesMax = 512

const isBinary = message => message.bodyBase64 !== undefined
const isJson = message => message.contentType === 'application/json'

/** One line of the body, for a list. */
export function preview(message) {
  if (isBinary(message)) return `${bytes(sizeOf(message))} of ${message.contentType}`
  return message.bodyText.slice(0, previewMax).replaceAll(/\s+/g, ' ')
}

function bytesOf({ bodyBase64 }) {
  return Uint8Array.from(atob(bodyBase64), letter => letter.charCodeAt(0))
}

function sizeOf(message) {
  return isBinary(message)
    ? Math.floor((message.bodyBase64.replace(/=+$/, '').length * 3) / 4)
    : new TextEncoder().encode(message.bodyText).length
}

export function Body({ message }) {
  const [asSent, setAsSent] = useState(false)
  const [whole, setWhole] = useState(false)
  const binary = isBinary(message)
  const shown = binary ? hex(message) : textOf(message.bodyText, isJson(message) && !asSent, whole)
  const cut = !binary && !whole && message.bodyText.length > shownMax
  return html`<div class="body">
    <${BodyBar} message=${message} asSent=${asSent} onAsSent=${() => setAsSent(!asSent)} />
    <pre tabindex="0">${shown}</pre>
    ${cut && html`<${ShowAll} characters=${message.bodyText.length} onClick=${() => setWhole(true)} />`}
  </div>`
}

function BodyBar({ message, asSent, onAsSent }) {
  const copy = () => navigator.clipboard.writeText(message.bodyText)
  return html`<div class="body-bar">
    <span>${message.contentType}, ${bytes(sizeOf(message))}</span>
    <span class="spacer"></span>
    ${
      isJson(message) &&
      html`<button class="quiet" aria-pressed=${asSent} onClick=${onAsSent}>
        ${asSent ? 'Formatted' : 'As sent'}
      </button>`
    }
    ${!isBinary(message) && html`<button class="quiet" onClick=${copy}>Copy</button>`}
    <button class="quiet" onClick=${() => download(message)}>Download</button>
  </div>`
}

function ShowAll({ characters, onClick }) {
  return html`<button class="link" onClick=${onClick}>Show all ${count(characters)} characters</button>`
}

function download(message) {
  const content = isBinary(message) ? bytesOf(message) : message.bodyText
  const ending = isJson(message) ? 'json' : isBinary(message) ? 'bin' : 'txt'
  const url = URL.createObjectURL(new Blob([content], { type: 'application/octet-stream' }))
  const link = document.createElement('a')
  link.href = url
  link.download = `message-${message.id}.${ending}`
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 1000)
}

function hex(message) {
  const all = bytesOf(message)
  const dump = hexDump(all, hexBytesMax)
  return all.length > hexBytesMax ? `${dump}\n… and ${bytes(all.length - hexBytesMax)} more` : dump
}

/** The text, or for JSON its pieces in lines and colours. */
function textOf(text, inLines, whole) {
  if (!inLines || (text.length > shownMax && !whole)) return whole ? text : text.slice(0, shownMax)
  const pieces = pretty(text)
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
