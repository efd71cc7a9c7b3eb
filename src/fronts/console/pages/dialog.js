/** Dialogs and toasts: what is shown above a page. */
import { html, useEffect, useRef, useState } from './vendor/htm.js'
import { CopyCurl } from './curl.js'
import { ProblemNote } from './ui.js'

/**
 * Shows a dialog or a toast above the page. The application sets both.
 * @type {{ dialog: (node: any) => void, toast: (text: string, bad?: boolean) => void }}
 */
export const above = { dialog: () => {}, toast: () => {} }
export const closeDialog = () => above.dialog(null)
export const toastProblem = (/** @type {Error} */ problem) => above.toast(problem.message, true)

/** Its children in a modal dialog. The browser keeps the focus inside, and Escape closes it. */
export function Dialog({ title, wide = false, children }) {
  const ref = useRef(/** @type {any} */ (null))
  useEffect(() => {
    ref.current.showModal()
  }, [])
  const onClick = event => {
    if (event.target === ref.current) closeDialog()
  }
  return html`<dialog
    ref=${ref}
    class=${wide ? 'wide' : ''}
    aria-labelledby="dialog-title"
    onClose=${closeDialog}
    onCancel=${closeDialog}
    onClick=${onClick}
  >
    <div class="dialog-inside">
      <header>
        <h2 id="dialog-title">${title}</h2>
        <button class="quiet icon" aria-label="Close" onClick=${closeDialog}>✕</button>
      </header>
      ${children}
    </div>
  </dialog>`
}

/**
 * The state of a dialog's form: whether it is being sent, and what the service refused. `send` gets
 * the form, and closes the dialog itself when all went well.
 * @param {(form: HTMLFormElement) => Promise<void>} send
 */
export function useSubmit(send) {
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState(/** @type {any} */ (null))
  const onSubmit = async event => {
    event.preventDefault()
    setBusy(true)
    try {
      await send(event.target)
    } catch (error) {
      setProblem(error)
      setBusy(false)
    }
  }
  return { busy, problem, onSubmit }
}

/** The buttons at the end of a dialog's form. */
export function DialogButtons({ yes, busy, danger = false, focused = false }) {
  return html`<footer>
    <button type="button" onClick=${closeDialog}>Cancel</button>
    <button class=${danger ? 'danger' : 'primary'} disabled=${busy} autofocus=${focused}>${yes}</button>
  </footer>`
}

function Confirm({ title, text, yes, danger = false, act, requests }) {
  const { busy, problem, onSubmit } = useSubmit(async () => {
    await act()
    closeDialog()
  })
  return html`<${Dialog} title=${title}>
    <form onSubmit=${onSubmit}>
      <p>${text}</p>
      ${requests && html`<${CopyCurl} requestsOf=${() => requests} />`}
      <${ProblemNote} problem=${problem} />
      <${DialogButtons} yes=${yes} busy=${busy} danger=${danger} focused />
    </form>
  </${Dialog}>`
}

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {string} text
 * @property {string} yes what the button says that does it
 * @property {boolean} [danger]
 * @property {() => Promise<void>} act
 * @property {import('./shell.js').Request[]} [requests] what `act` sends, to be copied
 */

/**
 * Asks before something is done. `act` runs on yes. If the service refuses, the dialog says why.
 * @param {Question} question
 */
export function confirm(question) {
  above.dialog(html`<${Confirm} ...${question} />`)
}
