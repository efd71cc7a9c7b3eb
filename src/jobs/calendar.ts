/** When a schedule is due: a cron expression on the clock of a time zone, through clock changes. */
import { CronExpressionParser } from 'cron-parser'
import { QueueError } from '../core/errors.ts'
import type { Calendar } from '../core/schedule.ts'

const dayMs = 86_400_000
const yearsMax = 10
/** The fields of an expression in their order, and what each takes. */
const cronFields = [
  ['minute', '0 to 59'],
  ['hour', '0 to 23'],
  ['day of the month', '1 to 31, or L'],
  ['month', '1 to 12, or JAN to DEC'],
  ['weekday', '0 to 7, or SUN to SAT']
] as const
const aliases = ['@YEARLY', '@ANNUALLY', '@MONTHLY', '@WEEKLY', '@DAILY', '@HOURLY']

/**
 * The first time after `afterMs` at which the expression is due. One that names every hour follows
 * real time: it is due whenever the clock shows a matching minute, twice when the clock is put
 * back. Any other follows the clock on the wall. A minute that the clock skips is then due once,
 * right after, and a minute that it shows twice is due the first time. Refuses with invalidSchedule
 * an expression that cannot be read, is finer than a minute, or does not come within ten years.
 */
export const nextTime: Calendar = (cron, timezone, afterMs) => {
  // The parser works in UTC, which has no clock changes. It answers what the clock on the wall will
  // show, and this function finds when the clock does.
  const offsetAt = offsetsOf(timezone)
  const around = (ms: number) => [offsetAt(ms - dayMs), offsetAt(ms), offsetAt(ms + dayMs)]
  const { nextWall, everyHour } = parseCron(cron, afterMs + Math.min(...around(afterMs)))
  let best = Infinity
  for (;;) {
    const wallMs = nextWall()
    // While the clock shows an hour twice, a later reading can come at an earlier time.
    if (best < Infinity && wallMs > best + Math.max(...around(best))) return best
    const shown = timesOf(wallMs, offsetAt)
    const due = everyHour ? shown : [shown[0] ?? changeOver(wallMs, offsetAt)]
    for (const ms of due) if (ms > afterMs && ms < best) best = ms
    if (best < Infinity && new Set(around(best)).size === 1) return best
  }
}

function parseCron(cron: string, afterWallMs: number): { nextWall: () => number; everyHour: boolean } {
  const refuse = (why: string) => refusal('/cron', `The cron expression ${why}`)
  const fields = cron.trim().toUpperCase().split(/\s+/)
  const alias = fields.length === 1 ? fields[0]! : ''
  if (fields.length === 6 || alias.includes('SECONDLY')) {
    throw refuse(
      'is finer than a minute, and a schedule keeps time to the minute. Give five fields: minute, ' +
        'hour, day of the month, month, weekday.'
    )
  }
  if (fields.length !== 5 && !aliases.includes(alias)) {
    throw refuse(
      'must have five fields, minute, hour, day of the month, month and weekday, or be one of ' +
        `${aliases.join(' ').toLowerCase()}.`
    )
  }
  if (fields.some(field => field.replaceAll('THU', '').includes('H')) && alias === '') {
    throw refuse('has an H, for which a number would be chosen at random. Choose one.')
  }
  // Given both, the parser misses some of the days.
  if (fields[4]?.includes('#') && !/^[*?]$/.test(fields[2]!)) {
    throw refuse('has a weekday with #, which cannot stand beside a day of the month. Make two schedules.')
  }
  try {
    const endMs = new Date(afterWallMs).setUTCFullYear(new Date(afterWallMs).getUTCFullYear() + yearsMax)
    const expression = CronExpressionParser.parse(alias === '' ? fields.join(' ') : alias.toLowerCase(), {
      tz: 'UTC',
      currentDate: new Date(afterWallMs),
      endDate: new Date(endMs)
    })
    return {
      nextWall() {
        try {
          return expression.next().getTime()
        } catch {
          throw refuse(`does not come within ${yearsMax} years.`)
        }
      },
      everyHour: expression.fields.hour.values.length === 24
    }
  } catch {
    throw refuse(`cannot be read: ${wrongField(fields) ?? 'none of its months has such a day'}.`)
  }
}

/** Which field alone cannot be read, in words. null: each can be, but not together. */
function wrongField(fields: string[]): string | null {
  for (const [index, [name, values]] of cronFields.entries()) {
    const field = fields[index] ?? ''
    try {
      CronExpressionParser.parse(cronFields.map((_, i) => (i === index ? field : '*')).join(' '))
    } catch {
      const taken = `${values}, *, and lists, ranges and steps of these`
      return `its ${name} is ${field}, and that field takes ${taken}`
    }
  }
  return null
}

type Offsets = (ms: number) => number

const zonesMax = 1000
const zones = new Map<string, Offsets>()

/**
 * How far a zone's clock is ahead of UTC at a time. Refuses an unknown zone with invalidSchedule.
 */
function offsetsOf(timezone: string): Offsets {
  const cached = zones.get(timezone)
  if (cached !== undefined) return cached
  let format: Intl.DateTimeFormat
  try {
    format = new Intl.DateTimeFormat('en-US', { timeZone: timezone, timeZoneName: 'longOffset' })
  } catch {
    throw refusal(
      '/timezone',
      'The time zone is not known. Give a name of the IANA database, such as Europe/London or UTC.'
    )
  }
  const offsetAt = (ms: number) => {
    const [, sign, hours, minutes] = /GMT([+-])(\d\d):(\d\d)/.exec(format.format(ms)) ?? []
    return sign === undefined ? 0 : Number(`${sign}1`) * (Number(hours) * 60 + Number(minutes)) * 60_000
  }
  if (zones.size >= zonesMax) zones.clear()
  zones.set(timezone, offsetAt)
  return offsetAt
}

/**
 * The times at which the clock shows this. Mostly one; none when the clock is put forward over it,
 * two when the clock is put back.
 */
function timesOf(wallMs: number, offsetAt: Offsets): number[] {
  const offsets = new Set([offsetAt(wallMs - dayMs), offsetAt(wallMs + dayMs)])
  return [...offsets]
    .filter(offset => offsetAt(wallMs - offset) === offset)
    .map(offset => wallMs - offset)
    .sort((a, b) => a - b)
}

/** When the clock is put forward over a time that it does not show. */
function changeOver(wallMs: number, offsetAt: Offsets): number {
  const before = offsetAt(wallMs - dayMs)
  let low = wallMs - offsetAt(wallMs + dayMs)
  let high = wallMs - before
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (offsetAt(middle) === before) low = middle
    else high = middle
  }
  return high
}

function refusal(pointer: string, why: string): QueueError {
  return new QueueError('invalidSchedule', `${why} Nothing was changed.`, {
    faults: [{ pointer, message: why }]
  })
}
