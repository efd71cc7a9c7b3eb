/** All topics. */
import { html } from './vendor/htm.js'
import { topicAddress } from './address.js'
import { getAll } from './api.js'
import { count } from './format.js'
import { useAnswer } from './hooks.js'
import { mayAnywhere } from './rights.js'
import { NewSubscription } from './subscriptionDialog.js'
import { Empty, ProblemNote, ReloadButton } from './ui.js'

const readMs = 10_000
const readTopics = () => getAll('/topics', 'topics')

export function TopicsPage() {
  const { answer: topics, problem, readNow } = useAnswer(readTopics, { inputs: [], everyMs: readMs })
  return html`<main class="page">
    <div class="heading">
      <h1>Topics</h1>
      <span class="spacer"></span>
      <${ReloadButton} onClick=${readNow} />
      ${mayAnywhere('subscribe') && html`<${NewSubscription} topic=${null} onDone=${readNow} />`}
    </div>
    <${ProblemNote} problem=${problem} again=${readNow} />
    ${topics?.length === 0 && html`<${NoTopics} />`}
    ${topics?.length > 0 && html`<${TopicTable} topics=${topics} />`}
  </main>`
}

function TopicTable({ topics }) {
  return html`<div class="sheet">
    <table class="rows list">
      <thead>
        <tr>
          <th>Topic</th>
          <th class="n">Subscriptions</th>
        </tr>
      </thead>
      <tbody>
        ${topics.map(
          ({ topic, subscriptions }) =>
            html`<tr key=${topic} data-row>
              <td class="name"><a class="row-link" href=${topicAddress(topic)}>${topic}</a></td>
              <td class="n" data-label="Subscriptions">${count(subscriptions)}</td>
            </tr>`
        )}
      </tbody>
    </table>
  </div>`
}

function NoTopics() {
  return html`<${Empty} title="No topic yet">
    A queue subscribes to a topic with a pattern, such as <code>eu.#</code>. Each message that is published to
    the topic with a matching routing key is copied to the queue.
  </${Empty}>`
}
