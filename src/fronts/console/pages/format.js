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

const units = /** @type {const} */ ([
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1]
])

/** From here on, seconds are left out. */
const coarseFrom = 600

/**
 * A duration in its two largest units: `1 d 3 h`.
 * @param {number | null | undefined} seconds
 */
export function duration(seconds) {
  if (seconds == null) return '–'
  if (seconds === 0) return '0 s'
  if (seconds < 1) return `${Math.max(1, Math.round(seconds * 1000))} ms`
  const whole = Math.round(seconds)
  const largest = units.findIndex(([, size]) => whole >= size)
  const pieces = []
  let rest = whole
  for (const [unit, size] of units.slice(largest, largest + 2)) {
    const isShown = rest >= size && !(unit === 's' && whole >= coarseFrom)
    if (isShown) pieces.push(`${Math.floor(rest / size)} ${unit}`)
    rest %= size
  }
  return pieces.join(' ')
}

/**
 * A duration with nothing left out: `1 d 3 h 46 min 40 s`.
 * @param {number} seconds
 */
export function exactDuration(seconds) {
  const pieces = []
  let rest = seconds
  for (const [unit, size] of units.slice(0, -1)) {
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
