/** The bar above a list of messages: acts on those that are checked, or on all that match. */
import { html } from './vendor/htm.js'
import { askForAll, askForIds } from './actions.js'
import { count } from './format.js'
import { statesNotLeased } from './states.js'

/**
 * @param {{ queue: string, state: string, where: object, messages: any[], checked: Set<string>,
 *   onDone: () => void }} props
 */
export function BulkBar({ queue, state, where, messages, checked, onDone }) {
  return html`<div class="bar" role="group" aria-label="Act on messages">
    ${
      checked.size > 0
        ? html`<${CheckedActions} queue=${queue} messages=${messages} checked=${checked} onDone=${onDone} />`
        : html`<${MatchingActions} queue=${queue} state=${state} where=${where} onDone=${onDone} />`
    }
  </div>`
}

function CheckedActions({ queue, messages, checked, onDone }) {
  const chosen = messages.filter(({ id }) => checked.has(id))
  const button = (title, verb, states) => {
    const ids = chosen.filter(({ state }) => states.includes(state)).map(({ id }) => id)
    if (ids.length === 0) return null
    const ask = () => askForIds(verb, queue, ids, onDone)
    return html`<button class=${verb === 'purge' ? 'danger' : ''} onClick=${ask}>
      ${title} ${count(ids.length)}
    </button>`
  }
  const allLeased = chosen.every(({ state }) => state === 'leased')
  const them = chosen.length === 1 ? 'it' : 'them'
  return html`
    <span><b>${count(chosen.length)}</b> checked</span>
    ${button('Redrive', 'redrive', ['dead'])} ${button('Retry now', 'retry', ['delayed'])}
    ${button('Cancel', 'purge', statesNotLeased)}
    ${allLeased && html`<span class="hint">A worker holds ${them}.</span>`}
  `
}

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
    ${statesNotLeased.includes(state) && html`<button class="danger" onClick=${purge}>Cancel all …</button>`}
  `
}

function MatchingHint({ state, filtered }) {
  if (filtered) return 'All that match:'
  return state === '' ? 'All of a state: choose one above, or check messages.' : `All ${state}:`
}
