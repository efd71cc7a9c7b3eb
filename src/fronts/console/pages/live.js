/** Event streams with the live figures of queues. */
import { send } from './api.js'

/** @typedef {'connecting' | 'live' | 'trouble' | 'away' | 'full'} LiveState */

const retryMsMin = 500
const retryMsMax = 8000

/**
 * Reads a stream of events until stopped. When the stream ends, it begins again. While the tab is
 * hidden it rests: a hidden tab costs nothing, and holds none of the few connections that a browser
 * opens to one host.
 * @param {string} path
 * @param {(data: any) => void} onData
 * @param {(state: LiveState) => void} onState
 * @returns {() => void} stops it
 */
export function live(path, onData, onState) {
  let controller = new AbortController()
  let stopped = false
  let retryMs = retryMsMin
  /** @type {number | undefined} */
  let timer
  const onEvent = data => {
    retryMs = retryMsMin
    onState(data.trouble ? 'trouble' : 'live')
    if (!data.trouble) onData(data)
  }
  async function run() {
    controller = new AbortController()
    try {
      await readEvents(await send(path, { signal: controller.signal }), onEvent)
      onState('connecting')
    } catch (/** @type {any} */ error) {
      if (stopped || document.hidden) return
      onState(error.code === 'tooManyWaiting' ? 'full' : 'away')
      if (error.status === 401 || error.status === 403 || error.status === 404) return
    }
    if (stopped || document.hidden) return
    timer = setTimeout(run, retryMs)
    retryMs = Math.min(retryMsMax, retryMs * 2)
  }
  function onVisibility() {
    clearTimeout(timer)
    controller.abort()
    if (!document.hidden) run()
  }
  document.addEventListener('visibilitychange', onVisibility)
  if (!document.hidden) run()
  return () => {
    stopped = true
    clearTimeout(timer)
    controller.abort()
    document.removeEventListener('visibilitychange', onVisibility)
  }
}

/**
 * Hands on the data of each event until the stream ends.
 * @param {Response} response
 * @param {(data: any) => void} onEvent
 */
async function readEvents(response, onEvent) {
  const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body)
    .pipeThrough(/** @type {any} */ (new TextDecoderStream()))
    .getReader()
  let text = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    const events = (text + value).split('\n\n')
    text = /** @type {string} */ (events.pop())
    for (const event of events) {
      if (event.startsWith('data: ')) onEvent(JSON.parse(event.slice(6)))
    }
  }
}
