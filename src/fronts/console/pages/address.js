/** The place of the reader: `#/queues/mail?state=dead` as path segments and parameters. */
import { useEffect, useState } from './vendor/htm.js'
import { arrive, newStep } from './places.js'

/** The address as it is at this moment, which a page may not show yet. */
export function readAddress() {
  const [path = '', query = ''] = location.hash.replace(/^#\/?/, '').split('?')
  return {
    parts: path.split('/').filter(Boolean).map(decoded),
    query: Object.fromEntries(new URLSearchParams(query))
  }
}

/** @param {string} segment */
function decoded(segment) {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** The address, kept up to date. */
export function useAddress() {
  const [address, setAddress] = useState(readAddress)
  useEffect(() => {
    const onHash = () => {
      arrive()
      setAddress(readAddress())
    }
    addEventListener('hashchange', onHash)
    return () => removeEventListener('hashchange', onHash)
  }, [])
  return address
}

/**
 * Changes parameters of the address, as a step in the browser's history: Back takes it back.
 * @param {Record<string, string | undefined>} change
 * @param {{ refines?: boolean }} [how] `refines`: a part of the step before, so it is no new step
 */
export function changeQuery(change, { refines = false } = {}) {
  const params = new URLSearchParams()
  for (const [name, value] of Object.entries({ ...readAddress().query, ...change })) {
    if (value !== undefined && value !== '') params.set(name, value)
  }
  const path = location.hash.split('?')[0] || '#/'
  const address = params.size > 0 ? `${path}?${params}` : path
  if (refines) history.replaceState(history.state, '', address)
  else history.pushState(newStep(), '', address)
  dispatchEvent(new Event('hashchange'))
}

/** @param {string} queue */
export const queueAddress = queue => `#/queues/${encodeURIComponent(queue)}`

/** @param {string} topic */
export const topicAddress = topic => `#/topics/${encodeURIComponent(topic)}`

/**
 * @param {string} queue
 * @param {string} id
 */
export const messageAddress = (queue, id) => `${queueAddress(queue)}/messages/${id}`

/**
 * The messages of a group.
 * @param {string} queue
 * @param {string} group
 */
export const groupAddress = (queue, group) => `${queueAddress(queue)}?${new URLSearchParams({ group })}`
