/** The groups of a queue: what waits in each, and for what. Read while the part is open. */
import { html, useState } from './vendor/htm.js'
import { groupAddress, messageAddress } from './address.js'
import { get, queuePath } from './api.js'
import { time } from './clock.js'
import { count } from './format.js'
import { useAnswer } from './hooks.js'
import { Badge, Part, ProblemNote } from './ui.js'

const readMs = 10_000

/** `leasedMax`: how many of a group may be leased. null: no limit. */
export const Groups = props => html`<${Part} title="Groups"><${FoundGroups} ...${props} /></${Part}>`

function FoundGroups({ queue, ordered, leasedMax }) {
  const [cursor, setCursor] = useState(/** @type {string | null} */ (null))
  const query = cursor === null ? '' : `?${new URLSearchParams({ cursor })}`
  const { answer, problem } = useAnswer(() => get(`${queuePath(queue)}/groups${query}`), {
    inputs: [queue, cursor],
    everyMs: readMs
  })
  const groups = answer?.groups ?? []
  const button = (title, to) => html`<button onClick=${() => setCursor(to)}>${title}</button>`
  return html`
    <${ProblemNote} problem=${problem} />
    ${
      answer &&
      groups.length === 0 &&
      html`<p>${answer.cursor === null ? 'No group waits.' : 'None of the groups examined so far waits.'}</p>`
    }
    ${
      groups.length > 0 &&
      html`<${GroupTable} queue=${queue} ordered=${ordered} leasedMax=${leasedMax} groups=${groups} />`
    }
    <div class="pager">
      ${cursor !== null && button('First groups', null)}
      ${answer?.cursor && button('Next groups', answer.cursor)}
    </div>
  `
}

function GroupTable({ queue, ordered, leasedMax, groups }) {
  return html`<div class="sheet">
    <table class="rows queue-groups">
      <thead>
        <tr>
          <th>Group</th>
          <th class="n">Waiting</th>
          <th class="n">Leased</th>
          <th>${ordered ? 'Waits for' : 'First message'}</th>
        </tr>
      </thead>
      <tbody>
        ${groups.map(
          row =>
            html`<tr key=${row.group}>
              <td><${GroupName} queue=${queue} group=${row.group} /></td>
              <td class="n">${count(row.waiting)}${row.more && '+'}</td>
              <td class="n">
                ${count(row.leased)}${row.more && '+'}${leasedMax !== null && ` / ${count(leasedMax)}`}
              </td>
              <td>
                ${row.first && html`<${First} queue=${queue} first=${row.first} />`}
                ${row.nextTokenAt && html`<${NextToken} at=${row.nextTokenAt} />`}
              </td>
            </tr>`
        )}
      </tbody>
    </table>
  </div>`
}

/** Leads to the messages of the group. */
function GroupName({ queue, group }) {
  if (group === null) return 'without a name'
  return html`<a href=${groupAddress(queue, group)}>${group}</a>`
}

function First({ queue, first: { id, state, attempt, until } }) {
  const why = state === 'delayed' && attempt > 0 ? 'for its retry ' : ''
  return html`<p>
    <a href=${messageAddress(queue, id)}>message ${id}</a>
    <${Badge} kind=${state} /> ${until && html` ${why}until <time datetime=${until}>${time(until)}</time>`}
  </p>`
}

function NextToken({ at }) {
  return html`<p>Its rate is used up until <time datetime=${at}>${time(at)}</time>.</p>`
}
