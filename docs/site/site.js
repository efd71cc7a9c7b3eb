/** What the pages of the guide do beyond HTML: search, and copying a block. */
import MiniSearch from './minisearch.js'

const resultsMax = 12
const excerptChars = 160

const input = document.querySelector('#search')
const found = document.querySelector('#found')
const count = document.querySelector('#count')

/** @param {string} name @param {object} [fields] @param {(Node | string)[]} children */
function element(name, fields = {}, ...children) {
  const made = Object.assign(document.createElement(name), fields)
  made.append(...children)
  return made
}

/** The index, made when it is first needed. */
let index
const openIndex = () => (index ??= makeIndex())

async function makeIndex() {
  const answer = await fetch(new URL('search.json', import.meta.url))
  const made = new MiniSearch({
    fields: ['title', 'page', 'text'],
    storeFields: ['title', 'page', 'text', 'weight']
  })
  await made.addAllAsync(await answer.json(), { chunkSize: 100 })
  return made
}

async function search() {
  const words = input.value.trim()
  const made = await openIndex()
  if (words !== input.value.trim()) return // more was typed meanwhile
  const hits = made.search(words, {
    boost: { title: 5, page: 3 },
    boostDocument: (_id, _term, { weight }) => weight,
    combineWith: 'AND',
    prefix: true,
    fuzzy: term => (term.length > 5 ? 0.15 : false)
  })
  found.replaceChildren(...hits.slice(0, resultsMax).map(show))
  if (words !== '' && hits.length === 0) found.append(element('p', {}, `Nothing has “${words}”.`))
  found.hidden = words === ''
  count.textContent = words === '' ? '' : `${hits.length} found`
}

function show({ id, title, page, text, terms }) {
  const link = element('a', { href: new URL(id, import.meta.url).href })
  link.append(element('strong', {}, title))
  if (title !== page) link.append(element('span', {}, page))
  link.append(element('p', {}, ...excerpt(text, terms)))
  return link
}

/** The text around the first hit, with the hits marked. */
function excerpt(text, terms) {
  const escaped = terms.map(term => term.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&'))
  const pattern = new RegExp(`(${escaped.join('|')})`, 'giu')
  const start = Math.max(0, text.search(pattern) - excerptChars / 3)
  const begin = start === 0 ? 0 : text.indexOf(' ', start) + 1
  const space = text.indexOf(' ', begin + excerptChars)
  const end = space < 0 ? text.length : space
  const shown = text.slice(begin, end)
  // With a group in the pattern, every second part is a hit.
  const parts = shown.split(pattern).map((part, i) => (i % 2 === 1 ? element('mark', {}, part) : part))
  return [begin > 0 ? '… ' : '', ...parts, end < text.length ? ' …' : '']
}

function close() {
  input.value = ''
  found.hidden = true
}

function moveBy(step) {
  const places = [input, ...found.querySelectorAll('a')]
  const next = places.indexOf(document.activeElement) + step
  places[Math.min(Math.max(next, 0), places.length - 1)].focus()
}

input.closest('search').hidden = false
input.addEventListener('focus', openIndex)
input.addEventListener('input', search)
document.addEventListener('keydown', event => {
  const inSearch = event.target.closest('search') !== null
  if (event.key === '/' && !inSearch) input.focus()
  else if (event.key === 'Escape' && inSearch) close()
  else if (event.key === 'ArrowDown' && inSearch) moveBy(1)
  else if (event.key === 'ArrowUp' && inSearch) moveBy(-1)
  else if (event.key === 'Enter' && event.target === input) found.querySelector('a')?.click()
  else return
  event.preventDefault()
})
document.addEventListener('click', event => {
  if (event.target.closest('search') === null || event.target.closest('#found a') !== null) close()
})

// Browsers let a page write to the clipboard only where it is served over TLS or by this machine.
if (navigator.clipboard !== undefined) {
  for (const block of document.querySelectorAll('pre')) {
    const button = element('button', { type: 'button', className: 'copy' }, 'Copy')
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(block.querySelector('code').textContent)
      button.textContent = 'Copied'
    })
    block.parentNode.insertBefore(element('div', { className: 'block' }), block).append(block, button)
  }
}
