/** What can be done to the push of a queue: test it, replace its secret, delete it. */
import { html } from './vendor/htm.js'
import { above, confirm } from './dialog.js'
import { pushPath, SecretDialog } from './pushDialog.js'

/** @param {string} queue */
export function askToTest(queue) {
  confirm({
    title: `Send a test for ${queue}?`,
    text: 'The endpoint gets a signed request without a message.',
    yes: 'Send test',
    requests: [{ method: 'POST', path: `${pushPath(queue)}/test` }],
    onDone: ([{ delivered, status, seconds, reason }]) => {
      const answer = delivered ? `The endpoint answered ${status}` : reason
      above.toast(`${answer}, after ${Math.round(seconds * 1000)} ms.`, !delivered)
    }
  })
}

/**
 * @param {string} queue
 * @param {() => void} onDone
 */
export function askToRotate(queue, onDone) {
  confirm({
    title: `Replace the secret of ${queue}?`,
    text: 'The old secret signs too for a day. The new one is shown once.',
    yes: 'Replace secret',
    requests: [{ method: 'POST', path: `${pushPath(queue)}/rotate` }],
    onDone: ([{ secret }]) => {
      onDone()
      above.dialog(html`<${SecretDialog} queue=${queue} secret=${secret} />`)
    }
  })
}

/**
 * @param {string} queue
 * @param {string} url
 * @param {() => void} onDone
 */
export function askToDelete(queue, url, onDone) {
  confirm({
    title: `Delete the push of ${queue}?`,
    text: `Nothing more is sent to ${url}. The messages stay in the queue.`,
    yes: 'Delete push',
    danger: true,
    requests: [{ method: 'DELETE', path: pushPath(queue) }],
    onDone
  })
}
