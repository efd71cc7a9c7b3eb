/** What several pages do over time. */
import { useEffect, useState } from './vendor/htm.js'

/**
 * A value that follows what is typed, a moment later.
 * @param {string} value
 * @param {number} [ms]
 */
export function useDebounced(value, ms = 200) {
  const [late, setLate] = useState(value)
  useEffect(() => {
    const timer = setTimeout(() => setLate(value), ms)
    return () => clearTimeout(timer)
  }, [value])
  return late
}

/**
 * Reads now and every `ms` milliseconds, but not while the tab is hidden.
 * @param {() => void} read
 * @param {number} ms
 * @param {any[]} inputs when one of them changes, reading starts again
 */
export function usePolling(read, ms, inputs) {
  useEffect(() => {
    read()
    const timer = setInterval(() => {
      if (!document.hidden) read()
    }, ms)
    return () => clearInterval(timer)
  }, inputs)
}
