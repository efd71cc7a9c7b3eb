/** The states of a message, and how the pages show them. */
import { openStates, states } from './tables.js'

// Most queues keep no acked messages, so only the open states have figures and columns of their own.
export { openStates, states }

/** The states in which no worker holds the message, so that it can be purged. */
export const statesNotLeased = states.filter(state => state !== 'leased')

/**
 * A state as a title: `Ready`.
 * @param {string} state
 */
export const titleOf = state => state[0].toUpperCase() + state.slice(1)
