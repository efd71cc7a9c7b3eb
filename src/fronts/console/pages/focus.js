/** Where the keyboard is: no change of the page leaves it nowhere. */

/** What had the focus when the dialog was opened. @type {HTMLElement | null} */
let opener = null
/** What had the focus last. @type {HTMLElement | null} */
let focused = null

/** Called before a dialog opens. */
export function rememberOpener() {
  const active = /** @type {HTMLElement | null} */ (document.activeElement)
  if (active?.closest('dialog') === null) opener = active
}

/** Focuses the heading of the page. */
export function focusHeading() {
  const heading = document.querySelector('h1')
  if (heading === null) return
  heading.tabIndex = -1
  heading.focus({ preventScroll: true })
}

const isUsable = (/** @type {HTMLElement | null} */ element) =>
  element !== null && element !== document.body && element.isConnected && !element.matches(':disabled')

/** Gives the focus back when the element that had it is gone or disabled. */
function recover() {
  if (focused === null || isUsable(focused)) return
  const active = document.activeElement
  if (active !== null && active !== document.body && active !== focused) return
  const wasOpen = opener
  opener = null
  if (isUsable(wasOpen)) wasOpen?.focus()
  else focusHeading()
}

/** Begins to watch the focus. */
export function watchFocus() {
  document.addEventListener('focusin', event => {
    focused = /** @type {HTMLElement} */ (event.target)
  })
  // A press on the ground of the page takes the focus away on purpose.
  document.addEventListener('pointerup', () => {
    if (document.activeElement === document.body) focused = null
  })
  const changes = { childList: true, subtree: true, attributeFilter: ['disabled'] }
  new MutationObserver(recover).observe(document.body, changes)
}
