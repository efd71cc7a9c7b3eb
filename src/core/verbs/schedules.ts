/** The verbs of schedules: made and changed, looked at, run by hand, and fired when they are due. */
import { nextRunsMax } from '../limits.ts'
import { priorityDefault } from '../options.ts'
import type { Signals } from '../engine/signals.ts'
import { type Digits, type Enqueued, type NewMessage } from '../message.ts'
import {
  dueHeader,
  lateMsMax,
  nameHeader,
  scheduleNotFound,
  type Calendar,
  type LastRun,
  type Schedule,
  type ScheduleChange,
  type ScheduleSettings
} from '../schedule.ts'
import type { DueSchedule, EnqueueRow, NameScope, Store, Verbs } from '../ports.ts'
import { QueueError } from '../errors.ts'
import type { Enqueueing } from './enqueue.ts'

/** Whether the caller may do this with a schedule of this queue; throws what it is told where it may not. */
export type Permit = (queue: string) => void

export interface SchedulesOptions {
  /** Whether a message makes an unknown queue. */
  createQueues: boolean
  /** One is due at this time (ms since the epoch, the database's clock). */
  onDue: (timeMs: number) => void
}

const defaults = {
  timezone: 'UTC',
  headers: {},
  priority: priorityDefault,
  paused: false,
  missed: 'once'
} as const
const roundsMax = 100

export class Schedules {
  readonly #store: Store
  readonly #broker: Pick<Enqueueing, 'enqueue'>
  readonly #signals: Signals
  readonly #calendar: Calendar
  readonly #options: SchedulesOptions

  constructor(
    store: Store,
    broker: Pick<Enqueueing, 'enqueue'>,
    signals: Signals,
    calendar: Calendar,
    options: SchedulesOptions
  ) {
    this.#store = store
    this.#broker = broker
    this.#signals = signals
    this.#calendar = calendar
    this.#options = options
  }

  /**
   * Makes a schedule, or changes what is given. True when it was made. Refuses with
   * invalidSchedule; with scheduleNotFound a new one that lacks something.
   */
  async put(
    name: string,
    change: ScheduleChange,
    permit: Permit
  ): Promise<{ created: boolean; schedule: Schedule }> {
    for (;;) {
      const put = await this.#store.transaction(async verbs => {
        const { now, schedule } = await verbs.lockSchedule(name)
        if (schedule !== null) permit(schedule.queue)
        const { queue, cron, body, ...rest } = { ...defaults, ...schedule, ...change }
        if (queue === undefined || cron === undefined || body === undefined) throw scheduleNotFound(name)
        const settings: ScheduleSettings = { queue, cron, body, ...rest }
        const isTimed = schedule !== null && cron === schedule.cron && settings.timezone === schedule.timezone
        const keepsTime = isTimed && (settings.paused || !schedule.paused)
        // Worked out for one that is paused too, so that nothing is kept that could not be resumed.
        const nextAt = keepsTime
          ? schedule.nextAt
          : rfc3339(this.#calendar(cron, settings.timezone, Date.parse(now)))
        if (schedule !== null && Object.keys(change).length === 0) return { created: false, schedule }
        const write = schedule === null ? verbs.createSchedule : verbs.changeSchedule
        return {
          created: schedule === null,
          schedule: await write(name, settings, settings.paused ? null : nextAt)
        }
      })
      // made by somebody else in that moment: now it is there to be changed
      if (put.schedule === null) continue
      if (put.schedule.nextAt !== null) this.#options.onDue(Date.parse(put.schedule.nextAt))
      return put as { created: boolean; schedule: Schedule }
    }
  }

  /** Refuses with scheduleNotFound. */
  async get(name: string, permit: Permit): Promise<Schedule> {
    const schedule = await this.#store.last.findSchedule(name)
    if (schedule === null) throw scheduleNotFound(name)
    permit(schedule.queue)
    return schedule
  }

  /**
   * By name, from `after` on, without their messages; `within` names the queues of those that the
   * caller may look at.
   */
  async list(
    after: string,
    limit: number,
    within: NameScope
  ): Promise<{ schedules: Omit<Schedule, 'body' | 'headers'>[]; next: string | null }> {
    const page = await this.#store.last.listSchedules(after, limit, within)
    return { schedules: page, next: page.length === limit ? page.at(-1)!.name : null }
  }

  /** The next five times; fewer where they are years apart. */
  nextRuns({ cron, timezone, nextAt }: Pick<Schedule, 'cron' | 'timezone' | 'nextAt'>): string[] {
    if (nextAt === null) return []
    const runs = [nextAt]
    try {
      while (runs.length < nextRunsMax) {
        runs.push(rfc3339(this.#calendar(cron, timezone, Date.parse(runs.at(-1)!))))
      }
    } catch (error) {
      if (!(error instanceof QueueError)) throw error
    }
    return runs
  }

  /** Refuses with scheduleNotFound. */
  async delete(name: string, permit: Permit): Promise<void> {
    await this.#store.transaction(async verbs => {
      const { schedule } = await verbs.lockSchedule(name)
      if (schedule === null) throw scheduleNotFound(name)
      permit(schedule.queue)
      await verbs.removeSchedule(name)
    })
  }

  /**
   * Enqueues its message now, whether it is paused or not. Refuses as an enqueue does, and with
   * scheduleNotFound.
   */
  async run(name: string, idempotencyKey: string | undefined, permit: Permit): Promise<Enqueued> {
    const { queue, body, headers, priority } = await this.get(name, permit)
    const message: NewMessage = {
      body,
      contentType: null,
      headers: { ...headers, [nameHeader]: name },
      priority,
      idempotencyKey
    }
    return (await this.#broker.enqueue(queue, [message], false))[0]!
  }

  /**
   * Fires all that are due, and answers in how many milliseconds the next one is. Any number of
   * replicas may do so at once.
   */
  async fireDue(): Promise<number> {
    for (let round = 0; round < roundsMax; round++) {
      // Apart from what is fired: were a queue not to be made just now, only its own schedules would miss it.
      if (this.#options.createQueues) {
        for (const queue of await this.#store.missingQueues()) {
          await this.#store.putQueue(queue, {}).catch(() => {})
        }
      }
      if ((await this.#fireSome()) === 0) break
    }
    return await this.#store.msUntilSchedule()
  }

  // Taking, enqueueing and moving on are one commit: who is killed in between has done nothing,
  // and nobody does it twice.
  async #fireSome(): Promise<number> {
    const { count, enqueued } = await this.#store.transaction(async verbs => {
      const due = await verbs.takeDueSchedules()
      const full = await this.#fullQueues(verbs, due)
      const ended = due.map(one => ({
        name: one.name,
        ...this.#decide(one, full),
        messageId: null as Digits | null
      }))
      const firing = [...due.keys()].filter(index => ended[index]!.outcome === 'enqueued')
      const answers = firing.length === 0 ? [] : await verbs.enqueue(firing.map(index => rowOf(due[index]!)))
      const enqueued: { queueId: Digits; id: Digits }[] = []
      for (const [i, index] of firing.entries()) {
        const id = answers[i]?.id
        if (id === undefined) {
          ended[index]!.outcome = 'queueNotFound'
        } // deleted since it was looked at
        else enqueued.push({ queueId: due[index]!.queueId!, id: (ended[index]!.messageId = id) })
      }
      if (due.length > 0) await verbs.moveSchedulesOn(ended)
      return { count: due.length, enqueued }
    })
    for (const { queueId, id } of enqueued) this.#signals.onReady(queueId, 1, Number(id))
    return count
  }

  #decide(
    { cron, timezone, missed, nextAt: at, now, queueId, name }: DueSchedule,
    full: Set<string>
  ): { outcome: LastRun['outcome']; nextAt: string | null } {
    const nowMs = Date.parse(now)
    const late = Date.parse(at) < nowMs - lateMsMax
    try {
      const nextAt = rfc3339(this.#calendar(cron, timezone, late ? nowMs : Date.parse(at)))
      const outcome =
        late && missed === 'skip'
          ? 'skipped'
          : queueId === null
            ? 'queueNotFound'
            : full.has(name)
              ? 'queueFull'
              : 'enqueued'
      return { outcome, nextAt }
    } catch {
      // read by the release that took it, and not by this one
      return { outcome: 'invalidSchedule', nextAt: null }
    }
  }

  /** The schedules for which there is no room in their queues. */
  async #fullQueues(verbs: Verbs, due: DueSchedule[]): Promise<Set<string>> {
    const room = new Map<Digits, number>()
    const full = new Set<string>()
    for (const { name, queueId: id, maxDepth } of due) {
      if (id === null || maxDepth === null) continue
      const left = room.get(id) ?? (await verbs.roomIn(id)) ?? Infinity
      if (left < 1) full.add(name)
      room.set(id, left - 1)
    }
    return full
  }
}

function rowOf({ queueId, name, nextAt: at, body, headers, priority }: DueSchedule): EnqueueRow {
  return {
    queueId: queueId!,
    body,
    contentType: null,
    headers: { ...headers, [nameHeader]: name, [dueHeader]: at },
    priority,
    delaySeconds: undefined,
    visibleAt: undefined,
    ttlSeconds: undefined,
    maxAttempts: undefined,
    idempotencyKey: undefined
  }
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString()
}
