/** A message's body and headers. Whatever they hold is shown as text, never as markup. */
import { html, useState } from './vendor/htm.js'
import { bytes, count } from './format.js'
import { hexDump, pretty } from './json.js'
import { Pair } from './ui.js'

/** What is shown at first, in characters. */
const shownMax = 100_000
/** JSON is laid out in lines up to here, in characters with the white space. The rest is as sent. */
const laidOutMax = 4_000_000
/** More pieces than these are shown without colours. */
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
    ? Math.floor((message.bodyBase64.replace(/(?<!=)=+$/, '').length * 3) / 4)
    : new TextEncoder().encode(message.bodyText).length
}

export function Body({ message }) {
  const [asSent, setAsSent] = useState(false)
  const [whole, setWhole] = useState(false)
  const inLines = isJson(message) && !asSent
  const { shown, isCut } = isBinary(message)
    ? { shown: hex(message), isCut: false }
    : textOf(message.bodyText, inLines, whole)
  return html`<div class="body">
    <${BodyBar} message=${message} asSent=${asSent} onAsSent=${() => setAsSent(!asSent)} />
    <pre tabindex="0">${shown}</pre>
    ${isCut && html`<${ShowAll} characters=${message.bodyText.length} onClick=${() => setWhole(true)} />`}
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

function fileEnding(message) {
  if (isJson(message)) return 'json'
  return isBinary(message) ? 'bin' : 'txt'
}

function download(message) {
  const content = isBinary(message) ? bytesOf(message) : message.bodyText
  const url = URL.createObjectURL(new Blob([content], { type: 'application/octet-stream' }))
  const link = document.createElement('a')
  link.href = url
  link.download = `message-${message.id}.${fileEnding(message)}`
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 1000)
}

function hex(message) {
  const all = bytesOf(message)
  const dump = hexDump(all, hexBytesMax)
  return all.length > hexBytesMax ? `${dump}\n… and ${bytes(all.length - hexBytesMax)} more` : dump
}

/** The text, or for JSON its pieces in lines and colours. At first only the beginning of it. */
function textOf(text, inLines, whole) {
  if (!inLines) {
    const isCut = !whole && text.length > shownMax
    return { shown: isCut ? text.slice(0, shownMax) : text, isCut }
  }
  const { pieces, isWhole } = pretty(text, whole ? laidOutMax : shownMax)
  const isCut = !whole && !isWhole
  const shown = isCut ? pieces.slice(0, -1) : pieces
  return {
    shown: shown.length > colouredMax ? shown.map(piece => piece.text).join('') : coloured(shown),
    isCut
  }
}

function coloured(pieces) {
  return pieces.map(({ kind, text }) => (kind === '' ? text : html`<span class="j-${kind}">${text}</span>`))
}

export function Headers({ headers }) {
  const entries = Object.entries(headers)
  if (entries.length === 0) return null
  return html`<dl class="pairs">
    ${entries.map(([name, value]) => html`<${Pair} title=${name}>${value}</${Pair}>`)}
  </dl>`
}
