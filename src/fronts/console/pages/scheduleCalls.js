/** Calls about schedules. */
import { getAll, getText } from './api.js'
import { readBodies } from './json.js'

/** @param {string} name */
export const schedulePath = name => `/schedules/${encodeURIComponent(name)}`

/** All schedules, each with its next run, without its message. */
export const readSchedules = () => getAll('/schedules', 'schedules')

/**
 * One schedule, with its message and its next runs.
 * @param {string} name
 */
export const readSchedule = async name => readBodies(await getText(schedulePath(name)), 'schedules')
