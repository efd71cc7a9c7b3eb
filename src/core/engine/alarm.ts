/** Alarms: timers that do not go off early. */

/** Node takes longer times for 1 ms. */
const timerMsMax = 2 ** 31 - 1

/**
 * Calls `ring` after this time, and answers what stops that. A timer of Node counts whole milliseconds, and
 * may go off almost one too early. What is due then would not be found.
 */
export function startAlarm(inMs: number, ring: () => void): () => void {
  const untilMs = performance.now() + inMs
  let timer: NodeJS.Timeout
  const start = () => {
    const leftMs = Math.min(timerMsMax, Math.max(0, untilMs - performance.now()))
    timer = setTimeout(() => (performance.now() < untilMs ? start() : ring()), leftMs)
  }
  start()
  return () => clearTimeout(timer)
}
