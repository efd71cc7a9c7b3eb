/**
 * Talking to the service: the key, calls, and the event stream. The key is kept for this tab alone
 * and goes in a header, so there are no cookies.
 */

const keyName = 'holdfast.key'
/** The folder the console is under, so that it also works behind a proxy that puts it elsewhere. */
export const root = new URL('.', location.href).href.replace(/\/$/, '')

/** A refusal, as the service told it. */
export class Problem extends Error {
  /**
   * @param {number} status @param {{ code?: string, detail?: string, errors?: { pointer: string,
   * message: string }[] }} body
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

export const storedKey = () => sessionStorage.getItem(keyName)
/** @param {string | null} key */
export function storeKey(key) {
  key === null ? sessionStorage.removeItem(keyName) : sessionStorage.setItem(keyName, key)
}

/** @param {string} path @param {RequestInit} [init] */
async function send(path, init = {}) {
  const key = storedKey()
  const headers = { ...init.headers, ...(key === null ? {} : { authorization: `Bearer ${key}` }) }
  const response = await fetch(`${root}${path}`, { ...init, headers, cache: 'no-store' }).catch(error => {
    if (error.name === 'AbortError') throw error
    throw new Problem(0, {
      code: 'unreachable',
      detail: 'The service cannot be reached. Look whether it runs and try again.'
    })
  })
  if (response.ok) return response
  const body = await response.json().catch(() => ({}))
  const problem = new Problem(response.status, body)
  if (response.status === 401) onSignedOut(problem)
  throw problem
}

/**
 * One call whose answer is kept as the text it came as. @param {string} method @param {string}
 * path @param {string | object} [body] @param {Record<string, string>} [headers] @returns
 * {Promise<string>}
 */
export async function callText(method, path, body, headers = {}) {
  const payload =
    body === undefined
      ? {}
      : {
          body: typeof body === 'string' ? body : JSON.stringify(body),
          headers: { 'content-type': 'application/json', ...headers }
        }
  return await (await send(path, { method, ...payload })).text()
}

/**
 * One call, its answer read as JSON. @param {string} method @param {string} path @param {string |
 * object} [body] @param {Record<string, string>} [headers] @returns {Promise<any>}
 */
export async function call(method, path, body, headers) {
  const text = await callText(method, path, body, headers)
  return text === '' ? null : JSON.parse(text)
}

/** @typedef {'connecting' | 'live' | 'trouble' | 'away' | 'full'} LiveState */

/**
 * Hears a stream of events until stopped. It begins again when it ends, and rests while nobody
 * sees the page, so that a tab in the background costs nothing (and holds none of the few
 * connections a browser opens to one host).
 * @param {string} path @param {(data: any) => void} onData @param {(state: LiveState) => void}
 * onState @returns {() => void}
 */
export function live(path, onData, onState) {
  let controller = new AbortController()
  let stopped = false
  let retryMs = 500
  /** @type {number | undefined} */
  let timer
  async function hear() {
    controller = new AbortController()
    try {
      const response = await send(path, { signal: controller.signal })
      const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body)
        .pipeThrough(/** @type {any} */ (new TextDecoderStream()))
        .getReader()
      let text = ''
      for (;;) {
        const { value, done } = await reader.read()
        if (done) break
        text += value
        const events = text.split('\n\n')
        text = /** @type {string} */ (events.pop())
        for (const event of events) {
          if (!event.startsWith('data: ')) continue
          const data = JSON.parse(event.slice(6))
          retryMs = 500
          onState(data.trouble ? 'trouble' : 'live')
          if (!data.trouble) onData(data)
        }
      }
      onState('connecting')
    } catch (/** @type {any} */ error) {
      if (stopped || document.hidden) return
      onState(error.code === 'tooManyWaiting' ? 'full' : 'away')
      if (error.status === 401 || error.status === 403 || error.status === 404) return
    }
    if (stopped || document.hidden) return
    timer = setTimeout(hear, retryMs)
    retryMs = Math.min(8000, retryMs * 2)
  }
  function onVisibility() {
    clearTimeout(timer)
    controller.abort()
    if (!document.hidden) hear()
  }
  document.addEventListener('visibilitychange', onVisibility)
  if (!document.hidden) hear()
  return () => {
    stopped = true
    clearTimeout(timer)
    controller.abort()
    document.removeEventListener('visibilitychange', onVisibility)
  }
}

/**
 * @type {{ signedIn: boolean, admin: boolean, rights: Record<string, { names: string[], prefixes:
 * string[] }> }}
 */
let rights = { signedIn: false, admin: false, rights: {} }

/** Asks what the key may do; fails as any call does when it is none. */
export async function readRights() {
  rights = await call('GET', '/console/rights')
  return rights
}

export const isAdmin = () => rights.admin

/**
 * What the key may not do is not offered. @param {'enqueue' | 'lease' | 'browse' | 'manage'}
 * action @param {string} queue
 */
export function may(action, queue) {
  const within = rights.rights[action]
  return (
    within !== undefined &&
    (within.names.includes(queue) || within.prefixes.some(prefix => queue.startsWith(prefix)))
  )
}

/** Whether there is any queue on which it may. @param {'enqueue' | 'manage'} action */
export function mayAnywhere(action) {
  const within = rights.rights[action]
  return within !== undefined && within.names.length + within.prefixes.length > 0
}
