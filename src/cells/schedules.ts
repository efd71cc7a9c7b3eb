/** The schedules of a queue that moves: made in the new cell, removed from the old one. */
import { setTimeout as pause } from 'node:timers/promises'
import { parseEnvelope, type RawJson } from '../core/engine/envelope.ts'
import { withBody, type CellApi, type Transfer } from './cellApi.ts'

interface Schedule {
  name: string
  queue: string
  cron: string
  timezone: string
  priority: number
  paused: boolean
  missed: string
  nextRuns: string[]
  body: RawJson
  headers: Record<string, string>
}

/** One that is due within this time fires first. */
const soonMs = 5000
const afterMs = 1000

/**
 * Moves each schedule. It waits, paused, until it is in one cell only, so it never fires in both. `waiting`
 * names those that wait since an earlier try. `remember` keeps the names of all that wait.
 */
export async function moveSchedules(
  { queue, from, to }: Transfer,
  waiting: string[],
  remember: (waiting: string[]) => Promise<void>
): Promise<void> {
  const resume = new Set(waiting)
  for (const name of await namesOf(from, queue)) {
    const { paused, body, cron, timezone, priority, missed, headers } = await whenNotDue(from, name)
    const settings = { queue, cron, timezone, priority, missed, headers, paused: true }
    await to.put(`/schedules/${name}`, withBody(body, settings))
    if (!paused) await remember([...resume.add(name)])
    await from.delete(`/schedules/${name}`)
  }
  for (const name of resume) await to.put(`/schedules/${name}`, '{"paused":false}')
  if (resume.size > 0) await remember([])
}

async function namesOf(cell: CellApi, queue: string): Promise<string[]> {
  const names: string[] = []
  for await (const schedule of cell.entries<Schedule>('/schedules', 'schedules')) {
    if (schedule.queue === queue) names.push(schedule.name)
  }
  return names
}

/** The schedule, at a moment when it is not just about to fire. */
async function whenNotDue(cell: CellApi, name: string): Promise<Schedule> {
  for (;;) {
    const schedule = parseEnvelope(await cell.get(`/schedules/${name}`)) as Schedule
    const [next] = schedule.nextRuns
    if (next === undefined || Date.parse(next) > Date.now() + soonMs) return schedule
    await pause(Math.max(0, Date.parse(next) - Date.now()) + afterMs)
  }
}
