/**
 * Moves a queue to another cell by draining it. New messages go to the new cell. Leases and settling
 * go to the old one until it is empty, and then to the new one too. The placement file says how far a
 * move has come, so one that was interrupted is run again.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { QueueError, type Code } from '../core/errors.ts'
import type { Placement } from '../core/placement.ts'
import type { CellApi } from './cellApi.ts'
import { mapOf } from './haproxy.ts'
import { carryOver, type CarriedState } from './leftBehind.ts'
import { readPlacement, writePlacement } from './placementFile.ts'
import { moveSchedules } from './schedules.ts'
import { refuseTies } from './ties.ts'

/** What a move needs of the cells, of their databases and of the router. */
export interface MoveTools {
  /** The placement file. */
  file: string
  api(cell: string): CellApi
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

export interface WantedMove {
  queue: string
  /** The cell to move to. */
  to: string
  /** Enqueue there also what stays behind: delayed and dead messages. */
  carry: boolean
}

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
export async function moveQueue(tools: MoveTools, wanted: WantedMove): Promise<void> {
  const placement = await readPlacement(tools.file)
  const { queue, to } = wanted
  if (!placement.cellNames.includes(to)) {
    throw new Error(`${to} is not a cell of ${tools.file}. Its cells are ${placement.cellNames.join(', ')}.`)
  }
  const begun = placement.moveOf(queue)
  if (begun !== undefined && begun.to !== to) {
    throw new Error(`The queue ${queue} is on its way to ${begun.to}. Finish that move first.`)
  }
  await new QueueMove(tools, wanted, placement).run()
}

class QueueMove {
  readonly #tools: MoveTools
  readonly #wanted: WantedMove
  /** As the file holds it now. */
  #placement: Placement

  constructor(tools: MoveTools, wanted: WantedMove, placement: Placement) {
    this.#tools = tools
    this.#wanted = wanted
    this.#placement = placement
  }

  async run(): Promise<void> {
    const { queue, to } = this.#wanted
    if (!this.#isMoving && this.#placement.cellOf(queue) !== to) await this.#begin()
    if (this.#isMoving) await this.#drain()
    this.#tools.say(`2. Everything about ${queue} goes to ${to}.`)
    await this.#tools.route(mapOf(this.#placement))
    for (const cell of this.#otherCells) await this.#clear(cell)
    this.#tools.say(`Done: ${queue} is in ${to}.`)
  }

  get #isMoving(): boolean {
    return this.#placement.moveOf(this.#wanted.queue) !== undefined
  }

  get #otherCells(): string[] {
    return this.#placement.cellNames.filter(cell => cell !== this.#wanted.to)
  }

  #transferFrom(cell: string) {
    const { queue, to } = this.#wanted
    return { queue, from: this.#tools.api(cell), to: this.#tools.api(to) }
  }

  async #write(placement: Placement): Promise<void> {
    await writePlacement(this.#tools.file, placement)
    this.#placement = placement
  }

  /** Refuses what would be torn apart. Then the file says that the queue moves. */
  async #begin(): Promise<void> {
    const from = this.#placement.cellOf(this.#wanted.queue)
    await refuseTies(this.#transferFrom(from), this.#placement)
    await this.#writeMove([])
  }

  /** `resume` names the schedules that wait to go on in the new cell. */
  async #writeMove(resume: string[]): Promise<void> {
    const { queue, to } = this.#wanted
    await this.#write(this.#placement.withMove(queue, { to, resume }))
  }

  /**
   * Returns once the old cell has nothing left to do, and the file says so. The file comes before the
   * router: a move that is run again never routes calls back to the old cell.
   */
  async #drain(): Promise<void> {
    const { queue, to } = this.#wanted
    const tools = this.#tools
    const from = this.#placement.cellOf(queue)
    await tools.place(this.#placement, to)
    await tools.raiseIds(from, to)
    await tools.copySettings(queue, from, to)
    const { resume } = this.#placement.moveOf(queue)!
    await moveSchedules(this.#transferFrom(from), resume, waiting => this.#writeMove(waiting))
    tools.say(`1. New messages of ${queue} go to ${to}, leases and settling to ${from}.`)
    await tools.route(mapOf(this.#placement))
    for (const cell of this.#otherCells) await tools.place(this.#placement, cell)
    await pause(settledMs)
    await tools.wakeWaiters(queue, from)
    await this.#untilEmpty(tools.api(from))
    await tools.copySettings(queue, from, to) // they may have changed meanwhile
    await this.#write(this.#placement.withMove(queue, null))
  }

  /** Returns once the queue was empty in two looks. A drain may take hours, so it outlasts outages. */
  async #untilEmpty(cell: CellApi): Promise<void> {
    let said = ''
    const sayOnce = (line: string) => {
      if (line !== said) this.#tools.say(line)
      said = line
    }
    let emptyLooks = 0
    while (emptyLooks < 2) {
      const waiting = await this.#countWaiting(cell, sayOnce).catch(error => {
        if (!isAway(error)) throw error
        sayOnce(`   ${error.message}`)
        return null
      })
      emptyLooks = waiting === 0 ? emptyLooks + 1 : 0
      await pause(emptyLooks === 1 ? betweenLooksMs : lookMs)
    }
  }

  /** How many messages the drain waits for. Delayed ones that will be carried over are not among them. */
  async #countWaiting(cell: CellApi, say: (line: string) => void): Promise<number> {
    const { queue, carry } = this.#wanted
    const report = await cell.queue(queue)
    const { ready = 0, leased = 0, delayed = 0 } = report?.counts ?? {}
    const isOrdered = report !== null && report.settings.ordering !== 'none'
    const waiting = ready + leased + (carry && !isOrdered ? 0 : delayed)
    const line = `   ${cell.name} holds ${ready} ready, ${leased} leased, ${delayed} delayed.`
    say(waiting > 0 && report?.settings.paused ? `${line} ${pausedHint(queue)}` : line)
    return waiting
  }

  /**
   * Carries over what another cell still holds, and removes the queue there once it is empty. A ready
   * message is carried in any case: its enqueue was so late that it came after the drain.
   */
  async #clear(cell: string): Promise<void> {
    const { queue, to, carry } = this.#wanted
    const { say, api } = this.#tools
    const states: CarriedState[] = carry ? ['ready', 'delayed', 'dead'] : ['ready']
    while ((await api(cell).queue(queue)) !== null) {
      const { carried, stuck } = await carryOver(this.#transferFrom(cell), states)
      if (carried > 0) say(`   Carried ${carried} from ${cell} to ${to}.`)
      if (stuck.length > 0) {
        say(`   These have headers and a body that is not JSON, and stay: ${stuck.join(', ')}`)
        return
      }
      const counts = (await api(cell).queue(queue))?.counts
      if (counts === undefined) return
      const { delayed, dead, acked } = counts
      const isIdle = counts.ready + counts.leased === 0
      if (isIdle && delayed + dead + acked > 0) {
        say(`   ${cell} keeps ${delayed} delayed, ${dead} dead, ${acked} acked with a result.`)
        if (!carry && delayed + dead > 0) {
          say(`   Run this again with --carry to enqueue the delayed and the dead ones in ${to}.`)
        }
        return
      }
      await pause(lateCallsMs)
      if (isIdle) await this.#removeEmpty(cell)
    }
  }

  /** An open transaction may hold it up. The next round tries again. */
  async #removeEmpty(cell: string): Promise<void> {
    const { queue } = this.#wanted
    const { say, removeEmpty } = this.#tools
    await removeEmpty(queue, cell).catch(error => {
      if (!(error instanceof QueueError && passing.includes(error.code))) throw error
      say(`   ${cell} does not let go of ${queue} yet: a transaction that has written messages is open.`)
    })
  }
}

const pausedHint = (queue: string) =>
  `The queue is paused, so nobody works on them. Resume it: PUT /queues/${queue} {"paused": false}.`

/** Refusals of a removal that waits for writers to pause, or for the caller's next turn. */
const passing: Code[] = ['overloaded', 'shareUsedUp', 'databaseUnavailable']

const isAway = (error: unknown) => error instanceof QueueError && error.code === 'cellUnavailable'
