/** The schedules of a queue that moves: made in the new cell, removed from the old one. */
import { setTimeout as pause } from 'node:timers/promises'
import { parseEnvelope, type RawJson } from '../core/engine/envelope.ts'
import type { Placement } from '../core/placement.ts'
import { answerOf, type Ask } from './leftBehind.ts'
import { writePlacement } from './placementFile.ts'

interface Tools extends Ask {
  file: string
}

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
 * Moves each schedule. It waits, paused, until it is in one cell only, so it never fires in both. The
 * placement file remembers which ones wait. Answers the placement as the file then holds it.
 */
export async function moveSchedules(
  tools: Tools,
  placement: Placement,
  queue: string,
  from: string,
  to: string
): Promise<Placement> {
  let current = placement
  for (const name of await namesOf(tools, queue, from)) {
    const { paused, body, cron, timezone, priority, missed, headers } = await whenNotDue(tools, name, from)
    const settings = { queue, cron, timezone, priority, missed, headers, paused: true }
    const change = `{"body":${body.text},${JSON.stringify(settings).slice(1)}`
    await answerOf(tools, to, 'PUT', `/schedules/${name}`, change)
    if (!paused) {
      const { resume } = current.moveOf(queue)!
      current = current.withMove(queue, { to, resume: [...new Set([...resume, name])] })
      await writePlacement(tools.file, current)
    }
    await answerOf(tools, from, 'DELETE', `/schedules/${name}`)
  }
  const { resume } = current.moveOf(queue)!
  await resumeSchedules(tools, to, resume)
  if (resume.length === 0) return current
  current = current.withMove(queue, { to, resume: [] })
  await writePlacement(tools.file, current)
  return current
}

/** Lets schedules go on that waited for the end of their move. */
export async function resumeSchedules(tools: Ask, cell: string, names: string[]): Promise<void> {
  for (const name of names) await answerOf(tools, cell, 'PUT', `/schedules/${name}`, '{"paused":false}')
}

async function namesOf(tools: Ask, queue: string, cell: string): Promise<string[]> {
  const names: string[] = []
  let cursor: string | null = null
  do {
    const query = new URLSearchParams({ limit: '100', ...(cursor !== null && { cursor }) })
    const page: { schedules: Schedule[]; cursor: string | null } = JSON.parse(
      await answerOf(tools, cell, 'GET', `/schedules?${query}`)
    )
    names.push(...page.schedules.filter(each => each.queue === queue).map(({ name }) => name))
    cursor = page.cursor
  } while (cursor !== null)
  return names
}

/** The schedule, at a moment when it is not just about to fire. */
async function whenNotDue(tools: Ask, name: string, cell: string): Promise<Schedule> {
  for (;;) {
    const text = await answerOf(tools, cell, 'GET', `/schedules/${name}`)
    const schedule = parseEnvelope(text) as Schedule
    const [next] = schedule.nextRuns
    if (next === undefined || Date.parse(next) > Date.now() + soonMs) return schedule
    await pause(Math.max(0, Date.parse(next) - Date.now()) + afterMs)
  }
}
