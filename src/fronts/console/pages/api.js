/**
 * Calls to the service. The key is kept for this tab only and is sent in a header, so there are no
 * cookies.
 */
import { payloadOf } from './shell.js'
import { limits } from './tables.js'

const keyName = 'holdfast.key'
/** The folder that holds the console: behind a proxy it need not be the root of the host. */
export const root = new URL('..', import.meta.url).href.replace(/\/$/, '')

/**
 * What is wrong with one field of a request.
 * @typedef {{ pointer: string, message: string }} Fault
 */

/** A refusal, as the service told it. */
export class Problem extends Error {
  /**
   * @param {number} status
   * @param {{ code?: string, detail?: string, errors?: Fault[] }} body
   */
  constructor(status, { code = 'internal', detail = 'The service gave no reason.', errors = [] }) {
    super(detail)
    this.status = status
    this.code = code
    this.errors = errors
  }
}

let onSignedOut = (/** @type {Problem} */ _problem) => {}
/** @param {(problem: Problem) => void} listener called when the service asks for another key */
export function whenSignedOut(listener) {
  onSignedOut = listener
}

/** The key of this tab. null: it has none, or needs none. */
export const storedKey = () => sessionStorage.getItem(keyName)
/** @param {string | null} key */
export function storeKey(key) {
  if (key === null) sessionStorage.removeItem(keyName)
  else sessionStorage.setItem(keyName, key)
}

/**
 * Sends a request with the key. Throws a Problem when the service refuses or cannot be reached.
 * @param {string} path
 * @param {RequestInit} [init]
 */
export async function send(path, init = {}) {
  const key = storedKey()
  const headers = { ...init.headers, ...(key === null ? {} : { authorization: `Bearer ${key}` }) }
  const response = await fetch(`${root}${path}`, { ...init, headers, cache: 'no-store' }).catch(error => {
    if (error.name === 'AbortError') throw error
    throw new Problem(0, {
      code: 'unreachable',
      detail: 'The service cannot be reached. Check that it is running, then try again.'
    })
  })
  if (response.ok) return response
  const body = await response.json().catch(() => ({}))
  const problem = new Problem(response.status, body)
  if (response.status === 401) onSignedOut(problem)
  throw problem
}

/**
 * Sends a request that may also be copied. Its answer is read as JSON.
 * @param {import('./shell.js').Request} request
 * @returns {Promise<any>}
 */
export async function perform(request) {
  const response = await send(request.path, { method: request.method, ...payloadOf(request) })
  const text = await response.text()
  return text === '' ? null : JSON.parse(text)
}

/**
 * What a GET answers, as the text that came.
 * @param {string} path
 */
export const getText = async path => await (await send(path)).text()

/**
 * What a GET answers, read as JSON.
 * @param {string} path
 * @returns {Promise<any>}
 */
export const get = async path => JSON.parse(await getText(path))

/**
 * The entries of all pages of a list.
 * @param {string} path
 * @param {string} list the name of the list in an answer
 */
export async function getAll(path, list) {
  /** @type {any[]} */
  const entries = []
  let cursor = /** @type {string | null} */ (null)
  do {
    const query = new URLSearchParams({ limit: String(limits.pageRowsMax), ...(cursor && { cursor }) })
    const page = await get(`${path}?${query}`)
    entries.push(...page[list])
    cursor = page.cursor
  } while (cursor !== null)
  return entries
}

/**
 * A command line that enqueues a message. Where a key is needed it takes the key from a variable.
 * @param {string} queue
 * @param {string} body JSON
 */
export function enqueueCommand(queue, body) {
  const key = storedKey() === null ? '' : '-H "authorization: Bearer $HOLDFAST_KEY" '
  return (
    `curl -X POST ${root}${queuePath(queue)}/messages ${key}` +
    `-H 'content-type: application/json' -d '{"body": ${body}}'`
  )
}

/** @param {string} queue */
export const queuePath = queue => `/queues/${encodeURIComponent(queue)}`
