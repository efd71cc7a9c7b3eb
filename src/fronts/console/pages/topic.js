/** One topic: the queues that subscribe to it. */
import { html } from './vendor/htm.js'
import { queueAddress } from './address.js'
import { get } from './api.js'
import { confirm } from './dialog.js'
import { useAnswer } from './hooks.js'
import { may } from './rights.js'
import { NewSubscription, subscriptionPath, topicPath } from './subscriptionDialog.js'
import { Empty, ProblemNote, ReloadButton } from './ui.js'

const readMs = 10_000

export function TopicPage({ topic }) {
  const { answer, problem, readNow } = useAnswer(() => get(topicPath(topic)), {
    inputs: [topic],
    everyMs: readMs
  })
  const isGone = problem?.code === 'topicNotFound'
  const subscriptions = isGone ? [] : answer?.subscriptions
  return html`<main class="page">
    <p class="crumbs"><a href="#/topics">Topics</a> /</p>
    <div class="heading">
      <h1>${topic}</h1>
      <span class="spacer"></span>
      <${ReloadButton} onClick=${readNow} />
      ${may('subscribe', topic) && html`<${NewSubscription} topic=${topic} onDone=${readNow} />`}
    </div>
    <${ProblemNote} problem=${isGone ? null : problem} again=${readNow} />
    ${
      subscriptions?.length === 0 &&
      html`<${Empty} title="No subscription">What is published to this topic goes nowhere.</${Empty}>`
    }
    ${
      subscriptions?.length > 0 &&
      html`<${SubscriptionTable} topic=${topic} subscriptions=${subscriptions} onDone=${readNow} />`
    }
  </main>`
}

function SubscriptionTable({ topic, subscriptions, onDone }) {
  return html`<div class="sheet">
    <table class="rows list">
      <thead>
        <tr>
          <th>Queue</th>
          <th>Pattern</th>
          <th class="n">Actions</th>
        </tr>
      </thead>
      <tbody>
        ${subscriptions.map(
          ({ queue, pattern }) =>
            html`<tr key=${queue} data-row>
              <td class="name"><a class="row-link" href=${queueAddress(queue)}>${queue}</a></td>
              <td class="mono" data-label="Pattern">${pattern}</td>
              <td class="n">
                ${
                  may('subscribe', topic) &&
                  may('manage', queue) &&
                  html`<button
                    class="quiet"
                    aria-label="End the subscription of ${queue}"
                    onClick=${() => askToEnd(topic, queue, onDone)}
                  >
                    End …
                  </button>`
                }
              </td>
            </tr>`
        )}
      </tbody>
    </table>
  </div>`
}

function askToEnd(topic, queue, onDone) {
  confirm({
    title: `End the subscription of ${queue}?`,
    text: `What is published to ${topic} is no longer copied to ${queue}. Copies that it holds stay.`,
    yes: 'End subscription',
    danger: true,
    requests: [{ method: 'DELETE', path: subscriptionPath(topic, queue) }],
    onDone
  })
}
