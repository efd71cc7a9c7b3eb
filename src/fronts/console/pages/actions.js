/** What can be done to messages, to one or to many. Each asks first and says how many there are. */
import { call, queuePath } from './api.js'
import { above, confirm, toastProblem } from './dialog.js'
import { count, plural } from './format.js'

const idsMax = 1000

/** @typedef {'redrive' | 'retry' | 'purge'} Verb */

/**
 * How each verb is spoken of. `done` is the name of the number in the answer of the service.
 * @type {Record<Verb, { yes: string, done: string, did: string, danger?: boolean, text: string }>}
 */
const words = {
  redrive: {
    yes: 'Redrive',
    done: 'redriven',
    did: 'redriven',
    text: 'Dead messages become ready again, their attempts counted from zero.'
  },
  retry: {
    yes: 'Retry now',
    done: 'retried',
    did: 'made ready',
    text: 'Delayed messages become ready at once; their attempts stay counted.'
  },
  purge: {
    yes: 'Cancel',
    done: 'purged',
    did: 'removed',
    danger: true,
    text: 'Removed is removed: it cannot be brought back.'
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
  const { yes, done, danger, text } = words[verb]
  const question = `${yes} ${plural(ids.length, 'message')}`
  const which = ids.length === 1 ? `Message ${ids[0]} of ${queue}` : `Of ${queue}`
  const kept = verb === 'purge' ? ' What a worker holds just now stays.' : ''
  confirm({
    title: `${question}?`,
    text: `${which}. ${text}${kept}`,
    yes: question,
    danger,
    act: async () => {
      let total = 0
      for (let from = 0; from < ids.length; from += idsMax) {
        const answer = await call('POST', `${queuePath(queue)}/${verb}`, {
          ids: ids.slice(from, from + idsMax)
        })
        total += answer[done]
      }
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
  const { yes, done, danger, text } = words[verb]
  const path = `${queuePath(queue)}/${verb}`
  try {
    const { matched, more } = await call('POST', path, { ...body, dryRun: true })
    if (matched === 0) return above.toast(`There is no ${what} now.`)
    const orMore = more ? ' or more' : ''
    const question = `${yes} ${plural(matched, what)}${orMore}`
    const leased = verb === 'purge' && !('state' in body) ? ' What workers hold just now goes too.' : ''
    confirm({
      title: `${question}?`,
      text: `All that match in ${queue}: ${count(matched)}${orMore} just now. ${text}${leased}`,
      yes: question,
      danger,
      act: async () => {
        const answer = await call('POST', path, body)
        toastDone(verb, answer[done], answer[done])
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
  const changed = total < wanted ? `; ${count(wanted - total)} had changed meanwhile` : ''
  above.toast(`${plural(total, 'message')} ${words[verb].did}${changed}.`)
}
