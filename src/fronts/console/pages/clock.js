/** The clock that the pages show: the reader's own or UTC. The browser remembers the choice. */
import { remember, remembered } from './remembered.js'

/** @typedef {'local' | 'utc'} Clock */

const clockName = 'holdfast.clock'
/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map()
/** @type {Clock} */
let clock = remembered(clockName) === 'utc' ? 'utc' : 'local'

export const ownTimeZone = () => Intl.DateTimeFormat().resolvedOptions().timeZone
const shownTimeZone = () => (clock === 'utc' ? 'UTC' : ownTimeZone())

/** Changes to the other clock, and tells the pages with a `clockchange` event. */
export function nextClock() {
  clock = clock === 'utc' ? 'local' : 'utc'
  remember(clockName, clock)
  dispatchEvent(new Event('clockchange'))
}

/**
 * The pieces of a time on the clock of a time zone.
 * @param {Date} at
 * @param {string} timeZone
 * @returns {Record<string, string>}
 */
function piecesOf(at, timeZone) {
  let format = formats.get(timeZone)
  if (format === undefined) {
    format = new Intl.DateTimeFormat('en-US', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
      timeZoneName: 'short'
    })
    formats.set(timeZone, format)
  }
  return Object.fromEntries(format.formatToParts(at).map(({ type, value }) => [type, value]))
}

/**
 * A time with the zone of its clock: `2026-03-01 14:05:09 GMT+1`.
 * @param {string} iso
 * @param {string} [timeZone] that of the clock that the pages show, unless another is given
 */
export function time(iso, timeZone = shownTimeZone()) {
  const { year, month, day, hour, minute, second, timeZoneName } = piecesOf(new Date(iso), timeZone)
  return `${year}-${month}-${day} ${hour}:${minute}:${second} ${timeZoneName}`
}

/** The zone of the clock that the pages show, as it is named now: `UTC`, `GMT+1`, `EST`. */
export const zoneLabel = () => piecesOf(new Date(), shownTimeZone()).timeZoneName

/** Which clock the pages show: `UTC`, or `Local (GMT+1)`. */
export const clockTitle = () => (clock === 'utc' ? 'UTC' : `Local (${zoneLabel()})`)

/**
 * Hour and minute, for the axis of a chart.
 * @param {number} second since 1970
 */
export function hourMinute(second) {
  const { hour, minute } = piecesOf(new Date(second * 1000), shownTimeZone())
  return `${hour}:${minute}`
}

/**
 * A time as an input of type datetime-local holds it.
 * @param {string} iso empty when there is no time
 */
export function inputTime(iso) {
  if (iso === '' || Number.isNaN(Date.parse(iso))) return ''
  const { year, month, day, hour, minute } = piecesOf(new Date(iso), shownTimeZone())
  return `${year}-${month}-${day}T${hour}:${minute}`
}

/**
 * What an input of type datetime-local holds, as a time in UTC.
 * @param {string} text
 */
export const fromInputTime = text =>
  text === '' ? '' : new Date(clock === 'utc' ? `${text}Z` : text).toISOString()
