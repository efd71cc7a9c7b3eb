/** Work that goes on beside the callers. */

/** Work that is being repeated. */
export interface Repeated {
  /** No new round; resolves when the one under way is over. */
  stop(): Promise<void>
}

/**
 * Does the work again and again, each time `pauseMs` after the last round ended, until stopped. The
 * first round comes after a pause too. Errors go to `onError`.
 */
export function repeat(
  work: (signal: AbortSignal) => Promise<void>,
  pauseMs: number,
  onError: (error: unknown) => void
): Repeated {
  const stopping = new AbortController()
  let timer: NodeJS.Timeout
  let round = Promise.resolve()
  const plan = () => {
    timer = setTimeout(() => {
      round = work(stopping.signal)
        .catch(onError)
        .finally(() => {
          if (!stopping.signal.aborted) plan()
        })
    }, pauseMs)
  }
  plan()
  return {
    async stop() {
      stopping.abort()
      clearTimeout(timer)
      await round
    }
  }
}
