/** Redrives: at once, or as tasks that keep to a rate. */
import type { Caller } from '../caller.ts'
import type { Parts } from '../engine/parts.ts'
import { ReadyCounts } from '../engine/signals.ts'
import { isId, type Digits } from '../message.ts'
import {
  redriveNotFound,
  redriveRunning,
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
    const task = await turns.run(caller, () => store.last.startRedrive(id, wanted))
    if (task === null) throw redriveRunning(name)
    return task
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

  /** Another replica may be at a task that is due. Then its row is locked, and this step does nothing. */
  async drive(): Promise<number> {
    const { store, signals } = this.#parts
    for (let step = 0; step < stepsMax; step++) {
      const untilMs = await store.last.msUntilRedrive()
      if (untilMs > 0) return untilMs
      const { driven, ready } = await store.last.transaction(async verbs => {
        const counts = new ReadyCounts()
        const driven = await verbs.driveRedrive((_, freed, queueId) => {
          if (freed !== null) counts.add(queueId, freed.count, freed.position)
        })
        return { driven, ready: counts }
      })
      if (driven === null) break
      ready.signal(signals)
      if (driven.refusal !== null) throw driven.refusal // to the log
    }
    return 0
  }
}
