/** What can be done to messages, one or many: each asks first, and names how many it is about. */
import { call } from './api.js'
import { count, plural } from './format.js'
import { above, confirm } from './ui.js'

const idsMax = 1000

/** @typedef {'redrive' | 'retry' | 'purge'} Verb */

/** @type {Record<Verb, { yes: string, done: string, danger?: boolean, text: string }>} */
const words = {
  redrive: {
    yes: 'Redrive',
    done: 'redriven',
    text: 'Dead messages become ready again, their attempts counted from zero.'
  },
  retry: {
    yes: 'Retry now',
    done: 'retried',
    text: 'Delayed messages become ready at once; their attempts stay counted.'
  },
  purge: {
    yes: 'Cancel',
    done: 'purged',
    danger: true,
    text: 'Removed is removed: it cannot be brought back.'
  }
}

const path = (queue, verb) => `/queues/${encodeURIComponent(queue)}/${verb}`

/**
 * Of messages that were checked. @param {Verb} verb @param {string} queue @param {string[]} ids
 * @param {() => void} onDone
 */
export function askForIds(verb, queue, ids, onDone) {
  const { yes, done, danger = false, text } = words[verb]
  confirm({
    title: `${yes} ${plural(ids.length, 'message')}?`,
    text:
      `${ids.length === 1 ? `Message ${ids[0]} of ${queue}` : `Of ${queue}`}. ` +
      `${text}${verb === 'purge' ? ' What a worker holds just now stays.' : ''}`,
    yes: `${yes} ${plural(ids.length, 'message')}`,
    danger,
    act: async () => {
      let total = 0
      for (let at = 0; at < ids.length; at += idsMax) {
        total += (await call('POST', path(queue, verb), { ids: ids.slice(at, at + idsMax) }))[done]
      }
      above.toast(told(verb, total, ids.length))
      onDone()
    }
  })
}

/**
 * Of all that match: counted first by the service itself, which changes nothing then. @param
 * {Verb} verb @param {string} queue @param {object} body @param {string} what @param {() => void}
 * onDone
 */
export async function askForAll(verb, queue, body, what, onDone) {
  const { yes, done, danger = false, text } = words[verb]
  try {
    const { matched, more } = await call('POST', path(queue, verb), { ...body, dryRun: true })
    if (matched === 0) return above.toast(`There is no ${what} now.`)
    const number = `${plural(matched, what)}${more ? ' or more' : ''}`
    confirm({
      title: `${yes} ${number}?`,
      text:
        `All that match in ${queue}: ${count(matched)}${more ? ' or more' : ''} just now. ` +
        `${text}${verb === 'purge' && !('state' in body) ? ' What workers hold just now goes too.' : ''}`,
      yes: `${yes} ${number}`,
      danger,
      act: async () => {
        const answer = await call('POST', path(queue, verb), body)
        above.toast(told(verb, answer[done], answer[done]))
        onDone()
      }
    })
  } catch (/** @type {any} */ error) {
    above.toast(error.message, true)
  }
}

/** @param {Verb} verb @param {number} n @param {number} wanted */
function told(verb, n, wanted) {
  const did = { redrive: 'redriven', retry: 'made ready', purge: 'removed' }[verb]
  return `${plural(n, 'message')} ${did}${n < wanted ? `; ${count(wanted - n)} had changed meanwhile` : ''}.`
}
