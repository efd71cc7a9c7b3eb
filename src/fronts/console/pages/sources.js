/** What else fills a queue: queues whose dead messages come here, and topics. */
import { html, useEffect, useState } from './vendor/htm.js'
import { queueAddress, topicAddress } from './address.js'
import { get } from './api.js'

const shownMax = 20

/** The names on the first page of a list, and whether others follow. */
async function namesIn(path, list, name) {
  const page = await get(`${path}&limit=${shownMax}`)
  return { names: page[list].map(row => row[name]), more: page.cursor !== null }
}

const none = { names: [], more: false }

/** Read again when the page has changed the queue. Whatever cannot be read is not shown. */
export function Sources({ queue, version }) {
  const [queues, setQueues] = useState(none)
  const [topics, setTopics] = useState(none)
  useEffect(() => {
    const named = encodeURIComponent(queue)
    namesIn(`/queues?deadLetterQueue=${named}`, 'queues', 'queue').then(setQueues, () => setQueues(none))
    namesIn(`/topics?queue=${named}`, 'topics', 'topic').then(setTopics, () => setTopics(none))
  }, [queue, version])
  return html`
    <${Line} title="Dead messages come from" ...${queues} addressOf=${queueAddress} />
    <${Line} title="Subscribes to" ...${topics} addressOf=${topicAddress} />
  `
}

function Line({ title, names, more, addressOf }) {
  if (names.length === 0) return null
  const links = names.map((name, n) => html`${n > 0 && ', '}<a href=${addressOf(name)}>${name}</a>`)
  return html`<p class="settings-line">${title} ${links}${more && ' and others'}</p>`
}
