/** The buttons of a queue: enqueue, pause, redrive, settings and delete. */
import { html } from './vendor/htm.js'
import { askForAll } from './actions.js'
import { perform, queuePath } from './api.js'
import { CopyCurl } from './curl.js'
import { above, confirm, toastProblem } from './dialog.js'
import { EnqueueDialog } from './enqueueDialog.js'
import { count } from './format.js'
import { may } from './rights.js'
import { SettingsDialog } from './settingsDialog.js'
import { openStates } from './states.js'

const pausing = (queue, paused) => ({ method: 'PUT', path: queuePath(queue), body: { paused } })

function askToPause(queue, onChange) {
  confirm({
    title: `Pause ${queue}?`,
    text: 'A paused queue gives out no messages. Enqueues go on, and leased messages can still be settled.',
    yes: 'Pause',
    requests: [pausing(queue, true)],
    onDone: () => {
      above.toast(`Queue ${queue} paused.`)
      onChange()
    }
  })
}

function resume(queue, onChange) {
  const onDone = () => {
    above.toast(`Queue ${queue} resumed.`)
    onChange()
  }
  perform(pausing(queue, false)).then(onDone, toastProblem)
}

function askToDelete(queue, counts) {
  const messages = openStates.reduce((sum, state) => sum + counts[state], 0)
  confirm({
    title: `Delete ${queue}?`,
    text: `This deletes the queue and all its messages (${count(messages)} now). It cannot be undone.`,
    yes: 'Delete queue',
    danger: true,
    name: queue,
    requests: [{ method: 'DELETE', path: queuePath(queue) }],
    onDone: () => {
      location.hash = '#/'
    }
  })
}

export function QueueActions({ queue, paused, settings, counts, onChange }) {
  const manage = may('manage', queue)
  const props = { queue, paused, settings, counts, onChange }
  return html`
    ${may('enqueue', queue) && html`<${EnqueueButton} queue=${queue} onChange=${onChange} />`}
    ${manage && html`<${ManageButtons} ...${props} />`}
  `
}

function EnqueueButton({ queue, onChange }) {
  const open = () => above.dialog(html`<${EnqueueDialog} queue=${queue} onDone=${onChange} />`)
  return html`<button class="primary" data-key="n" title="Enqueue a message (n)" onClick=${open}>
    Enqueue
  </button>`
}

function ManageButtons({ queue, paused, settings, counts, onChange }) {
  const pause = () => (paused ? resume(queue, onChange) : askToPause(queue, onChange))
  const redrive = () => askForAll('redrive', queue, {}, 'dead message', onChange)
  const redriveHome = () => askForAll('redrive', queue, {}, 'message to redrive', onChange)
  const openSettings = () =>
    above.dialog(html`<${SettingsDialog} queue=${queue} settings=${settings} onDone=${onChange} />`)
  const purge = () => askForAll('purge', queue, {}, 'message', onChange)
  const resuming = pausing(queue, false)
  const remove = () => askToDelete(queue, counts)
  return html`
    <button onClick=${pause}>${paused ? 'Resume' : 'Pause …'}</button>
    ${counts.dead > 0 && html`<button onClick=${redrive}>Redrive dead …</button>`}
    <button onClick=${openSettings}>Settings</button>
    <details class="menu">
      <summary aria-label="More">⋯</summary>
      <div>
        ${counts.dead === 0 && html`<button onClick=${redriveHome}>Redrive home …</button>`}
        <button class="danger" onClick=${purge}>Delete all messages …</button>
        <button class="danger" onClick=${remove}>Delete queue …</button>
        ${paused && html`<${CopyCurl} title="Copy resume as curl" requestsOf=${() => [resuming]} />`}
      </div>
    </details>
  `
}
