/** Topics, and the subscriptions of one. */
import { html } from './vendor/htm.js'
import { queueAddress, topicAddress } from './address.js'
import { get, getAll, perform } from './api.js'
import { CopyCurl } from './curl.js'
import { above, closeDialog, confirm, Dialog, useSubmit } from './dialog.js'
import { count } from './format.js'
import { FormEnd, TextField, typed } from './forms.js'
import { useAnswer } from './hooks.js'
import { may, mayAnywhere } from './rights.js'
import { Empty, ProblemNote, ReloadButton } from './ui.js'

const readMs = 10_000
const topicPath = topic => `/topics/${encodeURIComponent(topic)}`
const subscriptionPath = (topic, queue) => `${topicPath(topic)}/subscriptions/${encodeURIComponent(queue)}`

const readTopics = () => getAll('/topics', 'topics')

export function TopicsPage() {
  const { answer: topics, problem, readNow } = useAnswer(readTopics, { inputs: [], everyMs: readMs })
  return html`<main class="page">
    <div class="heading">
      <h1>Topics</h1>
      <span class="spacer"></span>
      <${ReloadButton} onClick=${readNow} />
      ${mayAnywhere('subscribe') && html`<${NewButton} topic=${null} onDone=${readNow} />`}
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
      ${may('subscribe', topic) && html`<${NewButton} topic=${topic} onDone=${readNow} />`}
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

function NewButton({ topic, onDone }) {
  const open = () => above.dialog(html`<${SubscriptionDialog} topic=${topic} onDone=${onDone} />`)
  return html`<button class="primary" data-key="n" onClick=${open}>New subscription</button>`
}

const pointers = ['path/topic', 'path/queue', '/pattern']
const queueHint = 'It is made if there is none.'
const patternHint = 'Words joined by dots. * is any one word, # any number of words. Empty: every message.'

/** Subscribes a queue, or changes its pattern. Where `topic` is null the reader names it. */
function SubscriptionDialog({ topic, onDone }) {
  const requestOf = form => {
    const pattern = typed(form, 'pattern')
    const path = subscriptionPath(topic ?? typed(form, 'topic'), typed(form, 'queue'))
    return { method: 'PUT', path, body: pattern === '' ? {} : { pattern } }
  }
  const { busy, problem, onSubmit } = useSubmit(async formElement => {
    const { queue, topic, pattern } = await perform(requestOf(new FormData(formElement)))
    closeDialog()
    above.toast(`${queue} is subscribed to ${topic} with ${pattern}.`)
    onDone()
  })
  const field = (name, label, more) =>
    html`<${TextField} name=${name} label=${label} problem=${problem} ...${more} />`
  return html`<${Dialog} title=${topic === null ? 'New subscription' : `New subscription to ${topic}`}>
    <form onSubmit=${onSubmit} noValidate>
      ${topic === null && field('topic', 'Topic', { pointer: 'path/topic', autofocus: true })}
      ${field('queue', 'Queue', { hint: queueHint, pointer: 'path/queue', autofocus: topic !== null })}
      ${field('pattern', 'Pattern', { hint: patternHint, class: 'mono', placeholder: '#' })}
      <${CopyCurl} requestsOf=${form => [requestOf(form)]} />
      <${FormEnd} problem=${problem} pointers=${pointers} yes="Subscribe" busy=${busy} />
    </form>
  </${Dialog}>`
}
