/** Calls about schedules. */
import { call, callText } from './api.js'
import { readBodies } from './json.js'
import { limits } from './tables.js'

/** @param {string} name */
export const schedulePath = name => `/schedules/${encodeURIComponent(name)}`

/** All schedules, each with its next run, without its message. */
export async function readSchedules() {
  const all = []
  for (let cursor = ''; ;) {
    const from = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`
    const page = await call('GET', `/schedules?limit=${limits.pageRowsMax}${from}`)
    all.push(...page.schedules)
    if (page.cursor === null) return all
    cursor = page.cursor
  }
}

/**
 * One schedule, with its message and its next runs.
 * @param {string} name
 */
export const readSchedule = async name => readBodies(await callText('GET', schedulePath(name)), 'schedules')
