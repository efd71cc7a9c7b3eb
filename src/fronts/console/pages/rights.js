/** What the key in use may do. The pages do not offer what it may not. */
import { get } from './api.js'

/** @typedef {'enqueue' | 'lease' | 'browse' | 'manage' | 'publish' | 'subscribe'} Action */
/** @typedef {{ names: string[], prefixes: string[] }} Queues */

/** @type {{ signedIn: boolean, admin: boolean, rights: Record<string, Queues> }} */
let rights = { signedIn: false, admin: false, rights: {} }

/** Asks the service. Fails as any call does when the key is not good. */
export async function readRights() {
  rights = await get('/console/rights')
  return rights
}

/**
 * Whether the key may do it on this queue or topic.
 * @param {Action} action
 * @param {string} queue
 */
export function may(action, queue) {
  const queues = rights.rights[action]
  return (
    queues !== undefined &&
    (queues.names.includes(queue) || queues.prefixes.some(prefix => queue.startsWith(prefix)))
  )
}

/**
 * Whether there is any queue or topic on which the key may do it.
 * @param {Action} action
 */
export function mayAnywhere(action) {
  const queues = rights.rights[action]
  return queues !== undefined && queues.names.length + queues.prefixes.length > 0
}
