/** Redrives: at once, or as tasks that keep to a rate. */
import type { Caller } from '../caller.ts'
import type { Parts } from '../engine/parts.ts'
import { ReadyCounts } from '../engine/signals.ts'
import { isId, type Digits } from '../message.ts'
import {
  redriveNotFound,
  redriveRunning,
  type Driven,
  type RedriveScope,
  type RedriveTask,
  type RedriveWanted
} from '../redrive.ts'
import { inChunks } from './bulk.ts'

/** Steps of tasks before `drive` answers. What is due then is driven by the next call. */
const stepsMax = 100

type Needs = Pick<Parts, 'store' | 'queueCache' | 'signals' | 'turns' | 'searchTurns'>

/** core/broker.ts says what the methods do, and how they refuse. */
export class Redriving {
  readonly #parts: Needs

  constructor(parts: Needs) {
    this.#parts = parts
  }

  redrive(caller: Caller, name: string, scope: Omit<RedriveScope, 'pass'>): Promise<number> {
    return inChunks(this.#parts, caller, name, (store, { id }, onDone, pass) =>
      store.redrive(id, { ...scope, pass }, onDone)
    )
  }

  async start(caller: Caller, name: string, wanted: RedriveWanted): Promise<Digits> {
    const { store, queueCache, turns } = this.#parts
    queueCache.forget(name)
    const { id } = await queueCache.find(caller, name)
    const task = await turns.run(caller, () => store.last.startRedrive(id, caller.id, wanted))
    if (task !== null) return task
    // The queue may have been deleted meanwhile.
    queueCache.forget(name)
    await queueCache.find(caller, name)
    throw redriveRunning(name)
  }

  async list(caller: Caller, name: string): Promise<RedriveTask[]> {
    const { store, queueCache, turns } = this.#parts
    const { id } = await queueCache.find(caller, name)
    return await turns.run(caller, () => store.last.listRedrives(id))
  }

  async stop(caller: Caller, name: string, task: string): Promise<void> {
    const { store, queueCache, turns } = this.#parts
    const { id } = await queueCache.find(caller, name)
    if (!isId(task)) throw redriveNotFound(name)
    const stopped = await turns.run(caller, () => store.last.stopRedrive(id, task))
    if (!stopped) throw redriveNotFound(name)
  }

  /**
   * In rounds: each caller has one step, so one with many tasks makes those of another wait for one
   * step. A step that was refused is told, and its task has failed.
   */
  async drive(onRefused: (refusal: unknown) => void): Promise<number> {
    const { store } = this.#parts
    for (let steps = 0; steps < stepsMax;) {
      const callers = await store.last.redriveCallersDue()
      if (callers.length === 0) return await store.last.msUntilRedrive()
      const stepsOfRound = await this.#driveRound(callers, onRefused)
      // Other replicas are at what is due.
      if (stepsOfRound === 0) break
      steps += stepsOfRound
    }
    return 0
  }

  // A fault in the step of one caller does not keep others from their turn. The round throws it at its
  // end, so the next round comes after a pause.
  async #driveRound(callers: string[], onRefused: (refusal: unknown) => void): Promise<number> {
    let steps = 0
    const faults: unknown[] = []
    for (const callerId of callers) {
      try {
        const driven = await this.#step(callerId)
        if (driven === null) continue
        steps++
        if (driven.refusal !== null) onRefused(driven.refusal)
      } catch (fault) {
        faults.push(fault)
      }
    }
    if (faults.length > 0) throw faults[0]
    return steps
  }

  async #step(callerId: string): Promise<Driven | null> {
    const { store, signals } = this.#parts
    const { driven, ready } = await store.last.transaction(async verbs => {
      const ready = new ReadyCounts()
      const driven = await verbs.driveRedrive(callerId, (_, freed, queueId) => {
        if (freed !== null) ready.add(queueId, freed.count, freed.position)
      })
      return { driven, ready }
    })
    ready.signal(signals)
    return driven
  }
}
