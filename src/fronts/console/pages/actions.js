/** What can be done to messages, to one or to many. Each asks first and says how many there are. */
import { perform, queuePath } from './api.js'
import { above, confirm, toastProblem } from './dialog.js'
import { count, plural } from './format.js'
import { limits } from './tables.js'

/** @typedef {'redrive' | 'retry' | 'purge'} Verb */

/**
 * `done` is what has happened to the messages. The answer of the service names their number by
 * `counted`.
 * @type {Record<Verb, { yes: string, done: string, counted: string, danger?: boolean, text: string }>}
 */
const words = {
  redrive: {
    yes: 'Redrive',
    done: 'redriven',
    counted: 'redriven',
    text:
      'Each message goes home to the queue in which it died, or becomes ready here. ' +
      'Attempts are counted from zero.'
  },
  retry: {
    yes: 'Retry now',
    done: 'retried',
    counted: 'retried',
    text: 'Delayed messages become ready now. Their past attempts still count.'
  },
  purge: {
    yes: 'Delete',
    done: 'deleted',
    counted: 'purged',
    danger: true,
    text: 'Deleted messages are gone for good.'
  }
}

/**
 * Acts on the messages with these ids.
 * @param {Verb} verb
 * @param {string} queue
 * @param {string[]} ids
 * @param {() => void} onDone
 */
export function askForIds(verb, queue, ids, onDone) {
  const { yes, counted, danger, text } = words[verb]
  const question = `${yes} ${plural(ids.length, 'message')}`
  const which = ids.length === 1 ? `, message ${ids[0]}` : ''
  const requests = /** @type {import('./shell.js').Request[]} */ ([])
  for (let from = 0; from < ids.length; from += limits.listMax) {
    const body = { ids: ids.slice(from, from + limits.listMax) }
    requests.push({ method: 'POST', path: `${queuePath(queue)}/${verb}`, body })
  }
  const kept = verb === 'purge' ? ' Messages that workers hold now are not deleted.' : ''
  confirm({
    title: `${question}?`,
    text: `Queue ${queue}${which}. ${text}${kept}`,
    yes: question,
    danger,
    requests,
    onDone: answers => {
      const total = answers.reduce((sum, answer) => sum + answer[counted], 0)
      toastDone(verb, total, ids.length)
      onDone()
    }
  })
}

/**
 * Acts on all messages that match. The service counts them first, which changes nothing.
 * @param {Verb} verb
 * @param {string} queue
 * @param {object} body what the call sends: the state and the filters
 * @param {string} what one of them by name, such as `dead message`
 * @param {() => void} onDone
 */
export async function askForAll(verb, queue, body, what, onDone) {
  const { yes, counted, danger, text } = words[verb]
  const path = `${queuePath(queue)}/${verb}`
  try {
    const { matched, more } = await perform({ method: 'POST', path, body: { ...body, dryRun: true } })
    if (matched === 0) return above.toast(`There is no ${what} now.`)
    const orMore = more ? ' or more' : ''
    const question = `${yes} ${plural(matched, what)}${orMore}`
    const leased =
      verb === 'purge' && !('state' in body) ? ' Messages that workers hold now are deleted too.' : ''
    confirm({
      title: `${question}?`,
      text: `Matches in queue ${queue} now: ${count(matched)}${orMore}. ${text}${leased}`,
      yes: question,
      danger,
      requests: [{ method: 'POST', path, body }],
      onDone: ([answer]) => {
        toastDone(verb, answer[counted], answer[counted])
        onDone()
      }
    })
  } catch (/** @type {any} */ error) {
    toastProblem(error)
  }
}

/**
 * @param {Verb} verb
 * @param {number} total
 * @param {number} wanted
 */
function toastDone(verb, total, wanted) {
  const changed = total < wanted ? ` ${count(wanted - total)} had changed in the meantime.` : ''
  above.toast(`${plural(total, 'message')} ${words[verb].done}.${changed}`)
}
