/** Dialogs and toasts: what is shown above a page. */
import { html, useLayoutEffect, useRef, useState } from './vendor/htm.js'
import { perform } from './api.js'
import { CopyCurl } from './curl.js'
import { rememberOpener } from './focus.js'
import { ProblemNote } from './ui.js'

/**
 * Shows a dialog or a toast above the page. The application sets both.
 * @type {{ dialog: (node: any) => void, toast: (text: string, bad?: boolean) => void }}
 */
export const above = { dialog: () => {}, toast: () => {} }
/** Closes the dialog that is open, if one is. */
export const closeDialog = () => above.dialog(null)
/** Says for a while what the service refused. */
export const toastProblem = (/** @type {Error} */ problem) => above.toast(problem.message, true)

/** Its children in a modal dialog. The browser keeps the focus inside, and Escape closes it. */
export function Dialog({ title, wide = false, children }) {
  const ref = useRef(/** @type {any} */ (null))
  useLayoutEffect(() => {
    rememberOpener()
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
    if (busy) return
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

/** The buttons at the end of a dialog's form. While it is sent, the focus stays where it is. */
export function DialogButtons({ yes, busy, no = 'Cancel', danger = false, asks = false, disabled = false }) {
  return html`<footer>
    <button type="button" autofocus=${asks} onClick=${closeDialog}>${no}</button>
    <button class=${danger ? 'danger' : 'primary'} disabled=${disabled} aria-disabled=${busy}>${yes}</button>
  </footer>`
}

function Confirm({ title, text, yes, danger = false, name, requests, onDone }) {
  const [typed, setTyped] = useState('')
  const { busy, problem, onSubmit } = useSubmit(async () => {
    const answers = []
    for (const request of requests) answers.push(await perform(request))
    closeDialog()
    onDone(answers)
  })
  return html`<${Dialog} title=${title}>
    <form onSubmit=${onSubmit}>
      <p>${text}</p>
      <${CopyCurl} requestsOf=${() => requests} />
      ${name && html`<${NameToType} name=${name} typed=${typed} onType=${setTyped} />`}
      <${ProblemNote} problem=${problem} />
      <${DialogButtons}
        yes=${yes}
        no=${danger ? 'Keep' : 'Cancel'}
        busy=${busy}
        danger=${danger}
        disabled=${name !== undefined && typed !== name}
        asks
      />
    </form>
  </${Dialog}>`
}

function NameToType({ name, typed, onType }) {
  return html`<label class="typed-name">
    <span>Type <b>${name}</b> to delete it</span>
    <input
      autocomplete="off"
      spellcheck=${false}
      value=${typed}
      onInput=${event => onType(event.target.value)}
    />
  </label>`
}

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {string} text
 * @property {string} yes what the button says that does it
 * @property {boolean} [danger] something is lost. Then the button that leaves all as it is says Keep
 * @property {string} [name] must be typed before yes can be pressed
 * @property {import('./shell.js').Request[]} requests what yes sends, one after another. It can be copied
 * @property {(answers: any[]) => void} onDone gets the answers to the requests
 */

/**
 * Asks before something is done. Enter alone changes nothing: the focus is on the button that leaves
 * all as it is. If the service refuses a request, the dialog says why.
 * @param {Question} question
 */
export function confirm(question) {
  above.dialog(html`<${Confirm} ...${question} />`)
}
