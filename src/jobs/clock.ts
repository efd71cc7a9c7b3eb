/**
 * Looks for schedules that are due: once a minute for the whole cluster when pg-boss says so, and
 * on each replica when it knows one to be due.
 */

export interface Clock {
  /** Fires what is due; resolves when that is done. */
  look(): Promise<void>
  /** One is due at this time (ms since the epoch): look then, if that is sooner than planned. */
  dueAt(timeMs: number): void
  stop(): Promise<void>
}

// One that was made elsewhere is heard of by looking: if its replica dies, another is late by no
// more than this.
const pauseMsMax = 15_000
// What is due and was not to be had is under way elsewhere.
const pauseMsMin = 250

/** `fireDue` answers in how many milliseconds the next one is due. */
export function startClock(fireDue: () => Promise<number>, onError: (error: unknown) => void): Clock {
  let stopping = false
  let timer: NodeJS.Timeout
  let plannedMs = Infinity
  let looking: Promise<void> | null = null

  function plan(inMs: number): void {
    clearTimeout(timer)
    plannedMs = Date.now() + inMs
    if (!stopping) timer = setTimeout(look, inMs)
  }

  function look(): Promise<void> {
    clearTimeout(timer)
    if (looking !== null) {
      plannedMs = 0 // it may be past what this one is to see
      return looking
    }
    plannedMs = Infinity
    looking = fireDue()
      .catch(error => {
        onError(error)
        return 1000
      })
      .then(untilMs => {
        looking = null
        plan(Math.max(0, Math.min(Math.max(untilMs, pauseMsMin), pauseMsMax, plannedMs - Date.now())))
      })
    return looking
  }

  plan(0)
  return {
    look,
    dueAt(timeMs) {
      if (timeMs < plannedMs) plan(Math.max(timeMs - Date.now(), pauseMsMin))
    },
    async stop() {
      stopping = true
      clearTimeout(timer)
      await looking
    }
  }
}
