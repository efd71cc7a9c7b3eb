/** The list of queues as a table. */
import { html } from './vendor/htm.js'
import { changeQuery, queueAddress } from './address.js'
import { count } from './format.js'
import { openStates, titleOf } from './states.js'
import { Badge, Oldest, Spark } from './ui.js'

/** The orders that the service knows, each with its title: the columns of the table. */
export const columns = [
  ['name', 'Queue'],
  ...openStates.map(state => [state, titleOf(state)]),
  ['oldest', 'Oldest ready'],
  ['enqueued', 'Enqueued /s'],
  ['acked', 'Acked /s']
]

/**
 * The order that the address asks for.
 * @param {Record<string, string>} query
 */
export function sortFrom({ sort, order }) {
  const isKnown = columns.some(([name]) => name === sort)
  return { sort: isKnown ? sort : 'name', descending: order === 'down' }
}

/**
 * Sorts anew: names from A, numbers from the largest.
 * @param {string} sort
 */
export function sortBy(sort) {
  changeQuery({ sort, order: sort === 'name' ? undefined : 'down', page: undefined })
}

export function QueueTable({ rows, sparks, order }) {
  return html`<div class="sheet">
    <table class="rows queues">
      <thead>
        <tr>
          ${columns.map(([name, title]) => html`<${SortHeading} name=${name} title=${title} ...${order} />`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(row => html`<${QueueRow} key=${row.queue} row=${row} spark=${sparks[row.queue]} />`)}
      </tbody>
    </table>
  </div>`
}

/** The title of a column. A click sorts by it, a second one turns the order around. */
function SortHeading({ name, title, sort, descending }) {
  const isSorted = name === sort
  const direction = descending ? 'descending' : 'ascending'
  const onClick = () =>
    isSorted ? changeQuery({ order: descending ? undefined : 'down', page: undefined }) : sortBy(name)
  return html`<th class=${name === 'name' ? '' : 'n'} aria-sort=${isSorted ? direction : undefined}>
    <button class="sort" onClick=${onClick}>${title}</button>
  </th>`
}

function QueueRow({ row, spark }) {
  return html`<tr data-row>
    <td class="name">
      <a class="row-link" href=${queueAddress(row.queue)}>${row.queue}</a>
      ${row.paused && html` <${Badge} kind="paused" />`}
    </td>
    ${openStates.map(state => html`<${CountCell} state=${state} messages=${row[state]} />`)}
    <td class="n" data-label="Oldest ready"><${Oldest} seconds=${row.oldestReadySeconds} /></td>
    <td class="n" data-label="Enqueued /s">
      <${Spark}
        kind="enqueued"
        label="Enqueued"
        now=${row.enqueuedPerSecond}
        values=${spark?.enqueuedPerSecond}
      />
    </td>
    <td class="n" data-label="Acked /s">
      <${Spark} kind="acked" label="Acked" now=${row.ackedPerSecond} values=${spark?.ackedPerSecond} />
    </td>
  </tr>`
}

function CountCell({ state, messages }) {
  return html`<td class="n ${messages > 0 ? state : 'zero'}" data-label=${titleOf(state)}>
    ${count(messages)}
  </td>`
}
