/** Why messages of a queue fail: groups by reason, each to be redriven or retried. */
import { html } from './vendor/htm.js'
import { askForIds } from './actions.js'
import { messageAddress, queueAddress } from './address.js'
import { get, queuePath } from './api.js'
import { count, plural } from './format.js'
import { useAnswer } from './hooks.js'
import { may } from './rights.js'
import { Ago, Badge, ProblemNote } from './ui.js'

/** Nothing is read while no message can have failed. */
export const FailureGroups = ({ counts, ...props }) =>
  counts.dead + counts.delayed + counts.ready > 0 && html`<${FoundFailures} ...${props} />`

/** The groups are read again when the page has changed the queue. */
function FoundFailures({ queue, version, onChange }) {
  const read = () => get(`${queuePath(queue)}/failures`)
  const { answer, problem, readNow } = useAnswer(read, { inputs: [queue, version] })
  if (answer === null) return html`<${ProblemNote} problem=${problem} again=${readNow} />`
  const { groups, groupsLeftOut, more } = answer
  if (groups.length === 0 && !more) return null
  return html`<section aria-labelledby="failures-title">
    <div class="section-head">
      <h2 id="failures-title">Failures by reason</h2>
      <button class="quiet" onClick=${readNow}>Reload failures</button>
    </div>
    <${ProblemNote} problem=${problem} />
    ${groups.length > 0 && html`<${GroupTable} queue=${queue} groups=${groups} onDone=${onChange} />`}
    ${more && html`<p class="hint">${moreHint}</p>`}
    ${groupsLeftOut > 0 && html`<p class="hint">${plural(groupsLeftOut, 'smaller group')} not shown.</p>`}
  </section>`
}

const moreHint =
  'Only the oldest messages were examined, so there may be more than these. ' +
  'Redrive or retry these groups, and the next ones are shown.'

function GroupTable({ queue, groups, onDone }) {
  const manage = may('manage', queue)
  return html`<div class="sheet">
    <table class="rows groups">
      <thead>
        <tr>
          <th>Reason</th>
          <th class="n">Messages</th>
          <th class="n">First</th>
          <th class="n">Last</th>
          <th><span class="hidden">Actions</span></th>
        </tr>
      </thead>
      <tbody>
        ${groups.map(
          group =>
            html`<${GroupRow}
              key=${`${group.state} ${group.reason}`}
              queue=${queue}
              group=${group}
              manage=${manage}
              onDone=${onDone}
            />`
        )}
      </tbody>
    </table>
  </div>`
}

function GroupRow({ queue, group, manage, onDone }) {
  const { state, reason, count: messages, firstAt, lastAt, example, ids } = group
  const [verb, title] = state === 'delayed' ? ['retry', 'Retry group …'] : ['redrive', 'Redrive group …']
  const act = () => askForIds(/** @type {'redrive' | 'retry'} */ (verb), queue, ids, onDone)
  return html`<tr>
    <td class="why-cell">
      <${Badge} kind=${state} /> <b>${reason ?? 'No reason given'}</b>
      <div class="hint">
        <${Example} queue=${queue} example=${example} folded=${reason} />
        <${ShowGroup} queue=${queue} group=${group} />
      </div>
    </td>
    <td class="n">${count(messages)}</td>
    <td class="n"><${Ago} at=${firstAt} /></td>
    <td class="n"><${Ago} at=${lastAt} /></td>
    <td class="n">${manage && html`<button onClick=${act}>${title}</button>`}</td>
  </tr>`
}

function Example({ queue, example: { id, reason }, folded }) {
  const words = reason === folded || reason === null ? '' : `: ${reason}`
  return html`<a href=${messageAddress(queue, id)}>message ${id}</a>${words}`
}

/** Leads to the messages whose reasons hold the piece that the group has in common. */
function ShowGroup({ queue, group: { state, piece } }) {
  if (piece === null) return null
  const query = new URLSearchParams({ state, reason: piece })
  return html` · <a href="${queueAddress(queue)}?${query}">all with “${piece}”</a>`
}
