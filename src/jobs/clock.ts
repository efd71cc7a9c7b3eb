/**
 * Fires schedules that are due. pg-boss asks one replica of the cluster to check once a minute. Each
 * replica also checks by itself when it knows that a schedule is due.
 */
import { startAlarm } from '../core/engine/alarm.ts'

export interface Clock {
  /** Fires what is due. Resolves when that is done. */
  fireNow(): Promise<void>
  /**
   * A schedule is due at this time (ms since the epoch). Checks then, if that is sooner than
   * planned.
   */
  dueAt(timeMs: number): void
  stop(): Promise<void>
}

// A replica learns of schedules made elsewhere by checking. If the replica that made one dies,
// another fires it late by no more than this.
const schedulePauseMsMax = 15_000
/** Of redrives: soon after their replica has died, another goes on. */
export const redrivePauseMsMax = 1000
// A schedule that is due but locked is being fired by another replica.
const pauseMsMin = 250
const failurePauseMs = 1000

/** `fireDue` answers in how many milliseconds the next one is due. It is asked at least that often. */
export function startClock(
  fireDue: () => Promise<number>,
  onError: (error: unknown) => void,
  pauseMsMax = schedulePauseMsMax
): Clock {
  let stopping = false
  let stopAlarm = () => {}
  let plannedMs = Infinity
  let firing: Promise<void> | null = null

  function plan(inMs: number): void {
    stopAlarm()
    plannedMs = Date.now() + inMs
    if (!stopping) stopAlarm = startAlarm(inMs, fireNow)
  }

  function fireNow(): Promise<void> {
    stopAlarm()
    if (firing !== null) {
      plannedMs = 0 // this round may have passed what is due by now, so another follows at once
      return firing
    }
    plannedMs = Infinity
    firing = fireDue()
      .catch(error => {
        onError(error)
        return failurePauseMs
      })
      .then(untilMs => {
        firing = null
        const pauseMs = Math.min(Math.max(untilMs, pauseMsMin), pauseMsMax, plannedMs - Date.now())
        plan(Math.max(0, pauseMs))
      })
    return firing
  }

  plan(0)
  return {
    fireNow,
    dueAt(timeMs) {
      // Of times in the past each would put the firing off, if it were compared itself.
      const nextMs = Math.max(timeMs, Date.now() + pauseMsMin)
      if (nextMs < plannedMs) plan(nextMs - Date.now())
    },
    async stop() {
      stopping = true
      stopAlarm()
      await firing
    }
  }
}
