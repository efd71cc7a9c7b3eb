/** Who consumes a queue: workers with their leases, read while the part is open. */
import { html } from './vendor/htm.js'
import { get, queuePath } from './api.js'
import { ago, count } from './format.js'
import { useAnswer } from './hooks.js'
import { Ago, Part, ProblemNote } from './ui.js'

const readMs = 10_000

export const Consumers = ({ queue }) =>
  html`<${Part} title="Consumers"><${FoundConsumers} queue=${queue} /></${Part}>`

function FoundConsumers({ queue }) {
  const read = () => get(`${queuePath(queue)}/consumers`)
  const { answer, problem } = useAnswer(read, { inputs: [queue], everyMs: readMs })
  return html`
    <${ProblemNote} problem=${problem} />
    ${answer && html`<${ConsumerReport} ...${answer} />`}
  `
}

function ConsumerReport({ consumers, more, keepsAcked, lastAskedAt }) {
  const asked =
    lastAskedAt === null
      ? 'Nobody has asked for messages yet.'
      : `Somebody asked for messages ${ago(lastAskedAt)}. Workers that only wait are not listed.`
  return html`
    <p class="hint">${asked}</p>
    ${consumers.length === 0 && html`<p>No worker holds a message, and none was seen lately.</p>`}
    ${consumers.length > 0 && html`<${ConsumerTable} consumers=${consumers} keepsAcked=${keepsAcked} />`}
    ${!keepsAcked && html`<p class="hint">${noAcks}</p>`} ${more && html`<p class="hint">${moreHint}</p>`}
  `
}

const noAcks =
  'The last ack of each is not known, because this queue keeps no acked messages. ' +
  'Set keepAckedSeconds to see it.'
const moreHint = 'Only the newest leases were examined. There may be more consumers, and more leases.'

function ConsumerTable({ consumers, keepsAcked }) {
  return html`<div class="sheet">
    <table class="rows consumers">
      <thead>
        <tr>
          <th>Worker</th>
          <th class="n">Holds</th>
          <th class="n">Oldest lease</th>
          <th class="n">Last leased</th>
          ${keepsAcked && html`<th class="n">Last ack</th>`}
          <th class="n">Last failure</th>
        </tr>
      </thead>
      <tbody>
        ${consumers.map(
          consumer =>
            html`<tr key=${consumer.worker}>
              <td>${consumer.worker}</td>
              <td class="n">${count(consumer.leases)}</td>
              <${TimeCell} at=${consumer.oldestLeaseAt} />
              <${TimeCell} at=${consumer.lastLeasedAt} />
              ${keepsAcked && html`<${TimeCell} at=${consumer.lastAckedAt} />`}
              <${TimeCell} at=${consumer.lastFailedAt} />
            </tr>`
        )}
      </tbody>
    </table>
  </div>`
}

function TimeCell({ at }) {
  return html`<td class="n">${at === null ? '–' : html`<${Ago} at=${at} />`}</td>`
}
