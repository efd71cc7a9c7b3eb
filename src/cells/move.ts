/**
 * Moves a queue to another cell by draining it. New messages go to the new cell. Leases and settling
 * go to the old one until it is empty, and then to the new one too. The placement file says how far a
 * move has come, so one that was interrupted is run again.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { QueueError, type Code } from '../core/errors.ts'
import type { Placement } from '../core/placement.ts'
import { mapOf } from './haproxy.ts'
import { answerOf, carryOver, type Ask, type CarriedState } from './leftBehind.ts'
import { readPlacement, writePlacement } from './placementFile.ts'
import { moveSchedules } from './schedules.ts'

/** What a move needs of the databases and of the router. */
export interface MoveTools extends Ask {
  file: string
  /** Puts a map in force, and returns when the router follows it. */
  route(map: string): Promise<void>
  /** Tells the database of a cell what belongs there. */
  place(placement: Placement, cell: string): Promise<void>
  /** Lets the ids of one cell go on far beyond those of another. */
  raiseIds(from: string, to: string): Promise<void>
  /** Gives the queue of one cell the settings that it has in another. */
  copySettings(queue: string, from: string, to: string): Promise<void>
  /** Has the calls that wait for messages of the queue try again. */
  wakeWaiters(queue: string, cell: string): Promise<void>
  /** Removes the queue of a cell if it holds nothing. */
  removeEmpty(queue: string, cell: string): Promise<boolean>
  say(line: string): void
}

export interface MoveOptions {
  /** Carries over what stays behind. */
  carry: boolean
}

type Counts = Record<'ready' | 'leased' | 'delayed' | 'dead' | 'acked', number>

/** A replica remembers for a second what a queue is, and a flush takes a moment. */
const settledMs = 1200
const betweenLooksMs = 3000
const lookMs = 500
/** A call that came to the old cell just before the router turned waits there for a second at most. */
const lateCallsMs = 3000

/**
 * Does all that is left of the move. Throws an Error with a sentence where it cannot go on. Nothing is
 * lost then: run it again.
 */
export async function moveQueue(
  tools: MoveTools,
  queue: string,
  to: string,
  options: MoveOptions
): Promise<void> {
  let placement = await readPlacement(tools.file)
  if (!placement.cellNames.includes(to)) {
    throw new Error(`${to} is not a cell of ${tools.file}. Its cells are ${placement.cellNames.join(', ')}.`)
  }
  const under = placement.moveOf(queue)
  if (under !== undefined && under.to !== to) {
    throw new Error(`The queue ${queue} is on its way to ${under.to}. Finish that move first.`)
  }
  if (under === undefined && placement.cellOf(queue) !== to) {
    placement = await begin(tools, placement, queue, to)
  }
  if (placement.moveOf(queue) !== undefined) placement = await drain(tools, placement, queue, options)
  tools.say(`2. Everything about ${queue} goes to ${to}.`)
  await tools.route(mapOf(placement))
  await clearUp(tools, placement, queue, options)
}

/** Refuses what would be torn apart. Then the file says that the queue moves. */
async function begin(tools: MoveTools, placement: Placement, queue: string, to: string): Promise<Placement> {
  const from = placement.cellOf(queue)
  await refuseTies(tools, placement, queue, from, to)
  const moving = placement.withMove(queue, { to, resume: [] })
  await writePlacement(tools.file, moving)
  return moving
}

async function refuseTies(tools: MoveTools, placement: Placement, queue: string, from: string, to: string) {
  const names = async (path: string, list: string, name: string) => {
    const page = JSON.parse(await answerOf(tools, from, 'GET', path)) as Record<
      string,
      Record<string, string>[]
    >
    return page[list]!.map(entry => entry[name]!)
  }
  const feeders = await names(`/queues?deadLetterQueue=${queue}&limit=10`, 'queues', 'queue')
  if (feeders.length > 0) {
    throw new Error(
      `Dead messages of ${feeders.join(', ')} go to ${queue}, which only works within a cell. Give these ` +
        'queues another deadLetterQueue first.'
    )
  }
  const topics = await names(`/topics?queue=${queue}&limit=10`, 'topics', 'topic')
  if (topics.length > 0) {
    throw new Error(
      `${queue} subscribes to ${topics.join(', ')}, which only works within a cell. End that first: ` +
        `DELETE /topics/${topics[0]}/subscriptions/${queue}.`
    )
  }
  const push = await tools.calls.call(from, {
    method: 'GET',
    path: `/queues/${queue}/push`,
    headers: tools.headers
  })
  if (push.status === 200) {
    throw new Error(
      `${queue} is delivered by push, which works within a cell. Delete its push first, and set it ` +
        'up again after the move. Its signing secret will be another one.'
    )
  }
  const report = await reportOf(tools, queue, from)
  const target = report?.settings.deadLetterQueue ?? null
  if (target !== null && placement.targetOf(target) !== to) {
    throw new Error(
      `Dead messages of ${queue} go to ${target}, which is in ${placement.targetOf(target)}. Set ` +
        `deadLetterQueue of ${queue} to null, move both queues, and set it again.`
    )
  }
}

/**
 * Returns once the old cell has nothing left to do, and the file says so. The file comes before the
 * router: a move that is run again never routes calls back to the old cell.
 */
async function drain(
  tools: MoveTools,
  placement: Placement,
  queue: string,
  options: MoveOptions
): Promise<Placement> {
  const { to } = placement.moveOf(queue)!
  const from = placement.cellOf(queue)
  const others = placement.cellNames.filter(cell => cell !== to)
  await tools.place(placement, to)
  await tools.raiseIds(from, to)
  await tools.copySettings(queue, from, to)
  const moving = await moveSchedules(tools, placement, queue, from, to)
  tools.say(`1. New messages of ${queue} go to ${to}, leases and settling to ${from}.`)
  await tools.route(mapOf(moving))
  for (const cell of others) await tools.place(moving, cell)
  await pause(settledMs)
  await tools.wakeWaiters(queue, from)
  await watch(tools, queue, from, options)
  await tools.copySettings(queue, from, to) // they may have changed meanwhile
  const moved = moving.withMove(queue, null)
  await writePlacement(tools.file, moved)
  return moved
}

/** Returns once the queue was empty in two looks. A drain may take hours, so it outlasts outages. */
async function watch(tools: MoveTools, queue: string, from: string, options: MoveOptions): Promise<void> {
  let said = ''
  for (let emptyLooks = 0; emptyLooks < 2;) {
    const report = await reportOf(tools, queue, from).catch(error => {
      if (!isAway(error)) throw error
      return error
    })
    if (report instanceof QueueError) {
      if (report.message !== said) tools.say(`   ${report.message}`)
      said = report.message
      emptyLooks = 0
      await pause(lookMs)
      continue
    }
    const { ready = 0, leased = 0, delayed = 0 } = report?.counts ?? {}
    const carries = options.carry && (report === null || report.settings.ordering === 'none')
    const waits = ready + leased + (carries ? 0 : delayed)
    const line = `   ${from} holds ${ready} ready, ${leased} leased, ${delayed} delayed.`
    if (line !== said) tools.say(waits > 0 && report?.settings.paused ? `${line} ${pausedHint(queue)}` : line)
    said = line
    emptyLooks = waits === 0 ? emptyLooks + 1 : 0
    await pause(emptyLooks === 1 ? betweenLooksMs : lookMs)
  }
}

const pausedHint = (queue: string) =>
  `The queue is paused, so nobody works on them. Resume it: PUT /queues/${queue} {"paused": false}.`

/** Empties the queue in all cells but its own, as far as it was asked to. */
async function clearUp(
  tools: MoveTools,
  placement: Placement,
  queue: string,
  options: MoveOptions
): Promise<void> {
  const to = placement.cellOf(queue)
  for (const cell of placement.cellNames.filter(name => name !== to)) {
    await clearCell(tools, queue, cell, to, options)
  }
  tools.say(`Done: ${queue} is in ${to}.`)
}

/**
 * Carries over what one cell still holds, and removes the queue there once it is empty. A ready message is
 * carried in any case: its enqueue was so late that it came after the drain.
 */
async function clearCell(tools: MoveTools, queue: string, cell: string, to: string, { carry }: MoveOptions) {
  const states: CarriedState[] = carry ? ['ready', 'delayed', 'dead'] : ['ready']
  while ((await reportOf(tools, queue, cell)) !== null) {
    const { carried, stuck } = await carryOver(tools, queue, cell, to, states)
    if (carried > 0) tools.say(`   Carried ${carried} from ${cell} to ${to}.`)
    if (stuck.length > 0) {
      tools.say(`   These have headers and a body that is not JSON, and stay: ${stuck.join(', ')}`)
      return
    }
    const counts = (await reportOf(tools, queue, cell))?.counts
    if (counts === undefined) return
    const { delayed, dead, acked } = counts
    if (counts.ready + counts.leased === 0 && delayed + dead + acked > 0) {
      tools.say(`   ${cell} keeps ${delayed} delayed, ${dead} dead, ${acked} acked with a result.`)
      if (!carry && delayed + dead > 0) {
        tools.say(`   Run this again with --carry to enqueue the delayed and the dead ones in ${to}.`)
      }
      return
    }
    await pause(lateCallsMs)
    if (counts.ready + counts.leased === 0) await removeEmpty(tools, queue, cell)
  }
}

/** Refusals of a removal that waits for writers to pause, or for the caller's next turn. */
const passing: Code[] = ['overloaded', 'shareUsedUp', 'databaseUnavailable']

/** An open transaction may hold it up. The next round tries again. */
async function removeEmpty(tools: MoveTools, queue: string, cell: string): Promise<void> {
  await tools.removeEmpty(queue, cell).catch(error => {
    if (!(error instanceof QueueError && passing.includes(error.code))) throw error
    tools.say(`   ${cell} does not let go of ${queue} yet: a transaction that has written messages is open.`)
  })
}

interface Report {
  counts: Counts
  settings: { paused: boolean; ordering: string; deadLetterQueue: string | null }
}

/** null: the cell has no such queue. Throws cellUnavailable while the cell cannot say. */
async function reportOf({ calls, headers }: Ask, queue: string, cell: string): Promise<Report | null> {
  const path = `/queues/${queue}`
  const { status, text } = await calls.call(cell, { method: 'GET', path, headers })
  if (status === 404) return null
  if (status === 200) return JSON.parse(text)
  const sentence = `The cell ${cell} refused GET ${path}: ${JSON.parse(text).detail}`
  throw status === 503 ? new QueueError('cellUnavailable', sentence) : new Error(sentence)
}

const isAway = (error: unknown) => error instanceof QueueError && error.code === 'cellUnavailable'
