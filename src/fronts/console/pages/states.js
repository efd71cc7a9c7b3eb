/** The states of a message, and how the pages show them. */
import { states } from './tables.js'

export { states }

/** Most queues keep no acked messages, so acked has no figure and no column of its own. */
export const statesBeforeAck = states.filter(state => state !== 'acked')

/** The states in which no worker holds the message, so that it can be purged. */
export const statesNotLeased = states.filter(state => state !== 'leased')

/**
 * A state as a title: `Ready`.
 * @param {string} state
 */
export const titleOf = state => state[0].toUpperCase() + state.slice(1)
