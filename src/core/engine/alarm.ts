/** Alarms: timers that do not go off early. */

/**
 * Calls `ring` after this time, and answers what stops that. A timer of Node counts whole milliseconds, and
 * may go off almost one too early. What is due then would not be found.
 */
export function startAlarm(inMs: number, ring: () => void): () => void {
  const untilMs = performance.now() + inMs
  let timer: NodeJS.Timeout
  const start = () => {
    const leftMs = Math.max(0, untilMs - performance.now())
    timer = setTimeout(() => (performance.now() < untilMs ? start() : ring()), leftMs)
  }
  start()
  return () => clearTimeout(timer)
}
