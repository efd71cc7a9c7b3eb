/** Numbers and durations as a person reads them. Times are in clock.js. */

const whole = new Intl.NumberFormat('en')
/** @param {number} n */
export const count = n => whole.format(n)

/** @param {number | null | undefined} n per second */
export function rate(n) {
  if (n == null) return '–'
  if (n === 0) return '0'
  return n < 10 ? n.toFixed(n < 0.1 ? 2 : 1) : whole.format(Math.round(n))
}

/** @param {number | null | undefined} seconds */
export function duration(seconds) {
  if (seconds == null) return '–'
  if (seconds < 1) return seconds === 0 ? '0 s' : `${Math.max(1, Math.round(seconds * 1000))} ms`
  const s = Math.round(seconds)
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min${s < 600 && s % 60 > 0 ? ` ${s % 60} s` : ''}`
  if (s < 86_400) {
    return `${Math.floor(s / 3600)} h${s % 3600 >= 60 ? ` ${Math.floor((s % 3600) / 60)} min` : ''}`
  }
  return `${Math.floor(s / 86_400)} d${s % 86_400 >= 3600 ? ` ${Math.floor((s % 86_400) / 3600)} h` : ''}`
}

const units = /** @type {const} */ ([
  ['d', 86_400],
  ['h', 3600],
  ['min', 60]
])

/**
 * A duration with nothing left out: `1 d 3 h 46 min 40 s`.
 * @param {number} seconds
 */
export function exactDuration(seconds) {
  const pieces = []
  let rest = seconds
  for (const [unit, size] of units) {
    if (rest >= size) pieces.push(`${whole.format(Math.floor(rest / size))} ${unit}`)
    rest %= size
  }
  if (rest > 0 || pieces.length === 0) pieces.push(`${Number(rest.toFixed(3))} s`)
  return pieces.join(' ')
}

/** @param {number} n */
export function bytes(n) {
  if (n < 1024) return `${n} bytes`
  return n < 1_048_576 ? `${(n / 1024).toFixed(1)} KiB` : `${(n / 1_048_576).toFixed(2)} MiB`
}

/**
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`

/**
 * How long ago, or until when.
 * @param {string} iso
 * @param {number} [nowMs]
 */
export function ago(iso, nowMs = Date.now()) {
  const seconds = (nowMs - Date.parse(iso)) / 1000
  if (Math.abs(seconds) < 1) return 'now'
  return seconds >= 0 ? `${duration(seconds)} ago` : `in ${duration(-seconds)}`
}

/**
 * @param {number} attempt
 * @param {number | null} maxAttempts null: without end
 */
export const attemptOf = (attempt, maxAttempts) =>
  maxAttempts === null ? String(attempt) : `${attempt} of ${maxAttempts}`
