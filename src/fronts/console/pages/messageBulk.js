/** The bar above a list of messages: acts on those that are selected, or on all that match. */
import { html } from './vendor/htm.js'
import { askForAll, askForIds } from './actions.js'
import { count } from './format.js'
import { statesNotLeased } from './states.js'

/**
 * @param {{ queue: string, state: string, where: object, messages: any[], selected: Set<string>,
 *   onDone: () => void }} props
 */
export function BulkBar({ queue, state, where, messages, selected, onDone }) {
  return html`<div class="bar" role="group" aria-label="Act on messages">
    ${
      selected.size > 0
        ? html`<${SelectedActions}
            queue=${queue}
            messages=${messages}
            selected=${selected}
            onDone=${onDone}
          />`
        : html`<${MatchingActions} queue=${queue} state=${state} where=${where} onDone=${onDone} />`
    }
  </div>`
}

function SelectedActions({ queue, messages, selected, onDone }) {
  const chosen = messages.filter(({ id }) => selected.has(id))
  const button = (title, verb, states) => {
    const ids = chosen.filter(({ state }) => states.includes(state)).map(({ id }) => id)
    if (ids.length === 0) return null
    const ask = () => askForIds(verb, queue, ids, onDone)
    return html`<button class=${verb === 'purge' ? 'danger' : ''} onClick=${ask}>
      ${title} ${count(ids.length)}
    </button>`
  }
  const allLeased = chosen.every(({ state }) => state === 'leased')
  return html`
    <span><b>${count(chosen.length)}</b> selected</span>
    ${button('Redrive', 'redrive', ['dead'])} ${button('Retry now', 'retry', ['delayed'])}
    ${button('Delete', 'purge', statesNotLeased)}
    ${allLeased && html`<span class="hint">${heldHint(chosen.length)}</span>`}
  `
}

const heldHint = (/** @type {number} */ messages) =>
  messages === 1 ? 'A worker holds this message now.' : 'Workers hold these messages now.'

function MatchingActions({ queue, state, where, onDone }) {
  const filtered = Object.keys(where).length > 0
  const filter = filtered ? { where } : {}
  const matches = wanted => state === wanted || (state === '' && filtered)
  const redrive = () => askForAll('redrive', queue, filter, 'dead message', onDone)
  const retry = () => askForAll('retry', queue, filter, 'delayed message', onDone)
  const purge = () => askForAll('purge', queue, { state, ...filter }, `${state} message`, onDone)
  return html`
    <span class="hint"><${MatchingHint} state=${state} filtered=${filtered} /></span>
    ${matches('dead') && html`<button onClick=${redrive}>Redrive all …</button>`}
    ${matches('delayed') && html`<button onClick=${retry}>Retry all now …</button>`}
    ${statesNotLeased.includes(state) && html`<button class="danger" onClick=${purge}>Delete all …</button>`}
  `
}

function MatchingHint({ state, filtered }) {
  if (filtered) return 'All matches:'
  if (state === '') return 'Choose a state above, or select messages.'
  return state === 'leased' ? heldHint(2) : `All ${state} messages:`
}
