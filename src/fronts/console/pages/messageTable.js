/** A list of messages as a table. Each opens in place. */
import { html, useState } from './vendor/htm.js'
import { messageAddress } from './address.js'
import { Body, Headers, preview } from './body.js'
import { time } from './clock.js'
import { ago, attemptOf } from './format.js'
import { Badge } from './ui.js'

/**
 * @param {{ queue: string, messages: any[], manage: boolean, selected: Set<string>,
 *   onSelect: (id: string) => void, onSelectAll: (ids: Set<string>) => void }} props
 */
export function MessageTable({ queue, messages, manage, selected, onSelect, onSelectAll }) {
  const ids = messages.map(({ id }) => id)
  const all = ids.every(id => selected.has(id))
  const selectAll = () => onSelectAll(new Set(all ? [] : ids))
  return html`<div class="sheet">
    <table class="rows list">
      <thead>
        <tr>
          ${
            manage &&
            html`<th>
              <input type="checkbox" aria-label="Select all shown" checked=${all} onChange=${selectAll} />
            </th>`
          }
          <th>Id</th>
          <th>State</th>
          <th>Body</th>
          <th class="n">Attempt</th>
          <th class="n">Enqueued</th>
        </tr>
      </thead>
      <tbody>
        ${messages.map(
          message =>
            html`<${MessageRow}
              key=${message.id}
              queue=${queue}
              message=${message}
              manage=${manage}
              selected=${selected.has(message.id)}
              onSelect=${() => onSelect(message.id)}
            />`
        )}
      </tbody>
    </table>
  </div>`
}

function MessageRow({ queue, message, manage, selected, onSelect }) {
  const [open, setOpen] = useState(false)
  const { id, state, attempt, maxAttempts, visibleAt, enqueuedAt } = message
  return html`<tr data-row class=${selected ? 'selected' : ''}>
      ${
        manage &&
        html`<td class="check-cell">
          <input type="checkbox" aria-label="Select message ${id}" checked=${selected} onChange=${onSelect} />
        </td>`
      }
      <td class="name mono"><a class="row-link" href=${messageAddress(queue, id)}>${id}</a></td>
      <td>
        <${Badge} kind=${state} />
        ${visibleAt && html` <small class="hint" title=${time(visibleAt)}>${ago(visibleAt)}</small>`}
      </td>
      <${BodyCell} message=${message} open=${open} onOpen=${() => setOpen(!open)} />
      <td class="n" data-label="Attempt">${attemptOf(attempt, maxAttempts)}</td>
      <td class="n" data-label="Enqueued" title=${time(enqueuedAt)}>${ago(enqueuedAt)}</td>
    </tr>
    ${open && html`<${OpenedRow} message=${message} columns=${manage ? 6 : 5} />`}`
}

function BodyCell({ message, open, onOpen }) {
  const reason = message.lastFailure?.reason
  return html`<td class="body-cell">
    <button class="peek mono" aria-expanded=${open} onClick=${onOpen}>${preview(message)}</button>
    ${reason && html`<span class="reason" title=${reason}>${reason}</span>`}
  </td>`
}

/** The whole body and the headers, in a row below the message's own. */
function OpenedRow({ message, columns }) {
  return html`<tr class="opened">
    <td colspan=${columns}>
      <${Body} message=${message} />
      <${Headers} headers=${message.headers} />
      ${message.lastFailure && html`<${LastFailure} ...${message.lastFailure} />`}
    </td>
  </tr>`
}

function LastFailure({ attempt, at, reason }) {
  return html`<p class="hint">Attempt ${attempt} ended ${ago(at)}: ${reason ?? 'no reason given'}</p>`
}
