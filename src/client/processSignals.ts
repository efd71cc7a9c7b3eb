/**
 * SIGTERM and SIGINT for all workers of the process, by one listener. It is gone after the first
 * signal, so that a second one ends the process at once.
 */

const signals = ['SIGTERM', 'SIGINT'] as const
const listeners = new Set<() => void>()

/** Calls the listener at the first signal, once. */
export function onProcessSignal(listener: () => void): void {
  if (listeners.size === 0) for (const signal of signals) process.on(signal, callListeners)
  listeners.add(listener)
}

/** Ends that. Without a listener, a signal ends the process as if nobody had listened. */
export function offProcessSignal(listener: () => void): void {
  if (listeners.delete(listener) && listeners.size === 0) {
    for (const signal of signals) process.off(signal, callListeners)
  }
}

function callListeners(): void {
  for (const listener of listeners) {
    offProcessSignal(listener)
    listener()
  }
}
