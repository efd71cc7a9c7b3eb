/** What is shown instead of a page while the console has no good key. */
import { html } from './vendor/htm.js'
import { root } from './api.js'
import { ProblemNote } from './ui.js'

/** Asks for an API key. `problem` is why the last one was refused. */
export function SignIn({ problem, onSecret }) {
  const onSubmit = event => {
    event.preventDefault()
    onSecret(new FormData(event.target).get('key'))
  }
  return html`<main class="signin">
    <form onSubmit=${onSubmit}>
      <img src="${root}/console/icon.svg" alt="" width="48" height="48" />
      <h1>Holdfast</h1>
      <p>This service needs an API key. The key stays in this tab only, until you close it.</p>
      <label
        >API key<input
          name="key"
          type="password"
          autocomplete="off"
          spellcheck=${false}
          required
          autofocus
          placeholder="hf_…"
      /></label>
      <${ProblemNote} problem=${problem} />
      <button class="primary">Sign in</button>
      <p class="hint">
        To make a key, run <code>holdfast keys create me --allow admin</code> on the machine of the service.
      </p>
    </form>
  </main>`
}
