/** The form that subscribes a queue to a topic. */
import { html } from './vendor/htm.js'
import { perform } from './api.js'
import { CopyCurl } from './curl.js'
import { above, closeDialog, Dialog, useSubmit } from './dialog.js'
import { FormEnd, TextField, typed } from './forms.js'

/** @param {string} topic */
export const topicPath = topic => `/topics/${encodeURIComponent(topic)}`

/**
 * @param {string} topic
 * @param {string} queue
 */
export const subscriptionPath = (topic, queue) =>
  `${topicPath(topic)}/subscriptions/${encodeURIComponent(queue)}`

/** The button that opens the form. Where `topic` is null, the form asks for it. */
export function NewSubscription({ topic, onDone }) {
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
