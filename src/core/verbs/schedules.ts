/** Schedules: made, changed, listed, deleted, run by hand, and fired when they are due. */
import type { Caller } from '../caller.ts'
import { nextRunsMax } from '../limits.ts'
import { priorityDefault } from '../options.ts'
import type { Signals } from '../engine/signals.ts'
import { QueueError } from '../errors.ts'
import type { Digits, Enqueued, NewMessage } from '../message.ts'
import type { EnqueueRow, Store, Verbs } from '../ports.ts'
import type { NameScope } from '../queue.ts'
import {
  dueHeader,
  lateMsMax,
  nameHeader,
  scheduleNotFound,
  type Calendar,
  type DueSchedule,
  type FiredSchedule,
  type LastRun,
  type Schedule,
  type ScheduleChange,
  type ScheduleSettings
} from '../schedule.ts'
import type { Enqueueing } from './enqueue.ts'

/** Throws the refusal when the caller may not do this with a schedule of this queue. */
export type Permit = (queue: string) => void

interface SchedulesOptions {
  /** Whether a schedule that fires makes an unknown queue. */
  createQueues: boolean
  /** A schedule is due at this time, in ms since the epoch on the database's clock. */
  onDue: (timeMs: number) => void
}

const defaults = {
  timezone: 'UTC',
  headers: {},
  priority: priorityDefault,
  paused: false,
  missed: 'once'
} as const
/** Commits of `fireDue` before it answers. What is still due then is fired by the next call. */
const firingsMax = 100

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
   * Makes a schedule, or changes what is given. `created` is true when it was made. Refuses with
   * invalidSchedule, and with scheduleNotFound when a new one lacks queue, cron or body.
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
        // Worked out for a paused one too: a schedule that could never resume is refused now.
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
      // Another session has just made it, so it can be changed now.
      if (put.schedule === null) continue
      if (put.schedule.nextAt !== null) this.#options.onDue(Date.parse(put.schedule.nextAt))
      return put as { created: boolean; schedule: Schedule }
    }
  }

  /** One schedule with its message. Refuses with scheduleNotFound. */
  async get(name: string, permit: Permit): Promise<Schedule> {
    const schedule = await this.#store.last.findSchedule(name)
    if (schedule === null) throw scheduleNotFound(name)
    permit(schedule.queue)
    return schedule
  }

  /**
   * Schedules by name, from the one after `after` on, without their messages. `scope` holds the
   * queues that the caller may see. `next` is null on the last page.
   */
  async list(
    after: string,
    limit: number,
    scope: NameScope
  ): Promise<{ schedules: Omit<Schedule, 'body' | 'headers'>[]; next: string | null }> {
    const page = await this.#store.last.listSchedules(after, limit, scope)
    return { schedules: page, next: page.length === limit ? page.at(-1)!.name : null }
  }

  /** The next five times. Fewer when the times are years apart. */
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

  /** Removes a schedule. The messages it has enqueued stay. Refuses with scheduleNotFound. */
  async delete(name: string, permit: Permit): Promise<void> {
    await this.#store.transaction(async verbs => {
      const { schedule } = await verbs.lockSchedule(name)
      if (schedule === null) throw scheduleNotFound(name)
      permit(schedule.queue)
      await verbs.removeSchedule(name)
    })
  }

  /**
   * Enqueues the message of a schedule now, paused or not. Refuses with scheduleNotFound, and as an
   * enqueue does.
   */
  async run(
    caller: Caller,
    name: string,
    idempotencyKey: string | undefined,
    permit: Permit
  ): Promise<Enqueued> {
    const { queue, body, headers, priority } = await this.get(name, permit)
    const message: NewMessage = {
      body,
      contentType: null,
      headers: { ...headers, [nameHeader]: name },
      priority,
      idempotencyKey
    }
    return (await this.#broker.enqueue(caller, queue, [message], false))[0]!
  }

  /**
   * Fires all schedules that are due, and answers in how many milliseconds the next one is due. Any
   * number of replicas may do so at once.
   */
  async fireDue(): Promise<number> {
    for (let firing = 0; firing < firingsMax; firing++) {
      // In commits of their own: if a queue cannot be made, only its own schedules miss it.
      if (this.#options.createQueues) {
        for (const queue of await this.#store.missingQueues()) {
          await this.#store.putQueue(queue, {}).catch(() => {})
        }
      }
      if ((await this.#fireSome()) === 0) break
    }
    return await this.#store.msUntilSchedule()
  }

  // Taking, enqueueing and moving on are one commit. A replica that is killed in between has done
  // nothing, and no schedule fires twice.
  async #fireSome(): Promise<number> {
    const { count, enqueued } = await this.#store.transaction(async verbs => {
      const due = await verbs.takeDueSchedules()
      const full = await this.#fullQueues(verbs, due)
      const fired: FiredSchedule[] = due.map(schedule => ({
        name: schedule.name,
        ...this.#decide(schedule, full),
        messageId: null
      }))
      const firing = [...due.keys()].filter(index => fired[index]!.outcome === 'enqueued')
      const answers = firing.length === 0 ? [] : await verbs.enqueue(firing.map(index => rowOf(due[index]!)))
      const enqueued: { queueId: Digits; id: Digits }[] = []
      for (const [i, index] of firing.entries()) {
        const id = answers[i]?.id
        if (id === undefined) {
          fired[index]!.outcome = 'queueNotFound' // deleted after it was taken
        } else {
          fired[index]!.messageId = id
          enqueued.push({ queueId: due[index]!.queueId!, id })
        }
      }
      if (due.length > 0) await verbs.moveSchedulesOn(fired)
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
      // The release that took this expression could read it. This release cannot.
      return { outcome: 'invalidSchedule', nextAt: null }
    }
  }

  // The schedules whose queues have no room.
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
    priority
  }
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString()
}
