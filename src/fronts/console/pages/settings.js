/** The rows of the settings form. The service sends the table of settings as tables.js. */
import { settings } from './tables.js'

/** @typedef {import('./tables.js').SettingRow} FormRow */

/**
 * All settings but `paused`, which has a button of its own on the page of the queue.
 * @type {FormRow[]}
 */
export const formRows = settings.filter(({ path }) => path[0] !== 'paused')
