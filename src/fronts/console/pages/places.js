/**
 * The places where the reader has been: for each step of the browser's history the scroll position,
 * the link that was followed, and the rows of the list. Back finds them again.
 */

/**
 * @typedef {object} Place
 * @property {number} scroll
 * @property {string | null} link the address of the link that was followed from here
 * @property {any} list what the page's list keeps: see messages.js
 */

/** Places that keep their rows. Rows hold whole bodies, so older places keep none. */
const placesMax = 10

/** @type {Map<string, Place>} */
const places = new Map()
let key = ''
let path = ''
/** Where to go back to, once the page has grown enough. @type {Place | null} */
let wanted = null

const pathNow = () => location.hash.split('?')[0]

/** The place where the reader is now. It becomes the newest; the oldest beyond the bound goes. */
export function place() {
  const here = places.get(key) ?? { scroll: 0, link: null, list: null }
  places.delete(key)
  places.set(key, here)
  const [oldest = ''] = places.keys()
  if (places.size > placesMax) places.delete(oldest)
  return here
}

/** The state of a new step in the browser's history. */
export const newStep = () => ({ place: crypto.randomUUID() })

/** Called first when the address has changed, while the page before it is still shown. */
export function arrive() {
  const focused = document.activeElement
  if (key !== '') place().link = focused instanceof HTMLAnchorElement ? focused.getAttribute('href') : null
  if (history.state?.place === undefined) history.replaceState(newStep(), '')
  key = history.state.place
  const isKnown = places.has(key)
  const isOtherPage = path !== pathNow()
  path = pathNow()
  wanted = isKnown ? { ...place() } : null
  if (!isKnown && isOtherPage) scrollTo(0, 0)
}

/**
 * Goes back to the scroll position and to the link that was followed. A page that still grows calls
 * it again.
 */
export function returnToPlace() {
  if (wanted === null) return
  scrollTo(0, wanted.scroll)
  const link = wanted.link && document.querySelector(`main a[href="${CSS.escape(wanted.link)}"]`)
  if (link instanceof HTMLElement) {
    link.focus({ preventScroll: true })
    wanted.link = null
  }
  if (wanted.link === null && Math.abs(scrollY - wanted.scroll) < 2) wanted = null
}

const onScroll = () => {
  if (wanted === null) place().scroll = scrollY
}
const onOwnMove = () => {
  wanted = null
}

/** Begins to watch where the reader is. */
export function watchPlaces() {
  history.scrollRestoration = 'manual'
  arrive()
  addEventListener('scroll', onScroll, { passive: true })
  for (const move of ['wheel', 'touchmove', 'pointerdown', 'keydown']) {
    addEventListener(move, onOwnMove, { passive: true })
  }
  new ResizeObserver(returnToPlace).observe(document.body)
}
