/**
 * Ctrl-C and SIGTERM abort this signal. The load generator then ends, the slice under way fails,
 * and main cleans up as after any failure. A second Ctrl-C ends the bench at once.
 */
const controller = new AbortController()
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(name, () => controller.abort(new Error('Interrupted.')))
}

export const interrupted = controller.signal
