/** Schedules: made, changed, listed, deleted, and run by hand. */
import { nextRunsMax } from '../limits.ts'
import type { Broker } from '../broker.ts'
import type { Caller } from '../caller.ts'
import { QueueError } from '../errors.ts'
import { isOrdered } from '../lines.ts'
import type { Enqueued, NewMessage } from '../message.ts'
import type { Store, Verbs } from '../ports.ts'
import { everyQueue, type NamePage } from '../queue.ts'
import {
  checkName,
  checkRoom,
  nameHeader,
  nameTaken,
  rfc3339,
  scheduleDefaults,
  scheduleNotFound,
  type Calendar,
  type ListedSchedule,
  type Owner,
  type Schedule,
  type ScheduleBounds,
  type ScheduleCaller,
  type ScheduleChange,
  type ScheduleSettings
} from '../schedule.ts'

interface SchedulesOptions extends ScheduleBounds {
  /** A schedule is due at this time, in ms since the epoch on the database's clock. */
  onDue: (timeMs: number) => void
}

interface Put {
  created: boolean
  schedule: Schedule
}

export class Schedules {
  readonly #store: Store
  readonly #broker: Pick<Broker, 'enqueue' | 'findQueue' | 'inTurn'>
  readonly #calendar: Calendar
  readonly #options: SchedulesOptions

  constructor(
    store: Store,
    broker: Pick<Broker, 'enqueue' | 'findQueue' | 'inTurn'>,
    calendar: Calendar,
    options: SchedulesOptions
  ) {
    this.#store = store
    this.#broker = broker
    this.#calendar = calendar
    this.#options = options
  }

  /**
   * Makes a schedule, or changes what is given. `created` is true when it was made. Refuses:
   * - with invalidSchedule, tooManySchedules.
   * - with forbidden when the key may not give this name.
   * - with scheduleNotFound when a new one lacks queue, cron or body.
   */
  async put(name: string, change: ScheduleChange, caller: ScheduleCaller): Promise<Put> {
    for (;;) {
      const put = await this.#transaction(caller, verbs => this.#put(verbs, name, change, caller))
      // Another session has just made it, so it can be changed now.
      if (put === null) continue
      if (put.schedule.nextAt !== null) this.#options.onDue(Date.parse(put.schedule.nextAt))
      return put
    }
  }

  async #put(
    verbs: Verbs,
    name: string,
    change: ScheduleChange,
    caller: ScheduleCaller
  ): Promise<Put | null> {
    const { now, schedule, isHidden } = await lock(verbs, name, caller)
    const { queue, cron, body, ...rest } = { ...scheduleDefaults, ...schedule, ...change }
    if (queue === undefined || cron === undefined || body === undefined) throw scheduleNotFound(name)
    if (schedule === null) checkName(caller.key, name, queue)
    if (isHidden) throw nameTaken(name)
    const settings: ScheduleSettings = { queue, cron, body, ...rest }
    const nextAt = this.#nextAt(schedule, settings, now)
    if (schedule !== null && Object.keys(change).length === 0) return { created: false, schedule }
    const owner = ownerAfter(schedule, change, caller)
    await this.#checkRoom(verbs, name, schedule, { queue, owner }, caller)
    const write = schedule === null ? verbs.createSchedule : verbs.changeSchedule
    const written = await write(name, { settings, owner, nextAt: settings.paused ? null : nextAt })
    return written === null ? null : { created: schedule === null, schedule: written }
  }

  // Worked out for a paused one too: a schedule that could never resume is refused now.
  #nextAt(schedule: Schedule | null, { cron, timezone, paused }: ScheduleSettings, now: string) {
    const isTimed = schedule !== null && cron === schedule.cron && timezone === schedule.timezone
    const keepsTime = isTimed && (paused || !schedule.paused)
    return keepsTime ? schedule.nextAt : rfc3339(this.#calendar(cron, timezone, Date.parse(now)))
  }

  async #checkRoom(
    verbs: Verbs,
    name: string,
    before: Schedule | null,
    { queue, owner }: { queue: string; owner: Owner | null },
    { key }: ScheduleCaller
  ): Promise<void> {
    const isNewOnQueue = queue !== before?.queue
    const isNewForOwner = before === null || owner?.id !== before.owner?.id
    if (!isNewOnQueue && !isNewForOwner) return
    const held = await verbs.countSchedules(name, queue, owner?.id ?? null)
    const placing = { queue, isNew: before === null, isNewOnQueue, isNewForOwner }
    checkRoom(this.#options, held, placing, key)
  }

  /** One schedule with its message. Refuses with scheduleNotFound. */
  get(name: string, { caller, permit }: ScheduleCaller): Promise<Schedule> {
    return this.#broker.inTurn(caller, async () => {
      const { last } = this.#store
      // Only a caller that may see the schedule has its message read: else the time that takes
      // would tell others that it exists.
      const queue = await last.queueOfSchedule(name)
      if (queue === null) throw scheduleNotFound(name)
      permit(queue)
      const schedule = await last.findSchedule(name)
      if (schedule === null) throw scheduleNotFound(name)
      permit(schedule.queue) // it may have moved meanwhile
      return schedule
    })
  }

  /**
   * Schedules by name, without their messages: those whose queues are in the scope, which holds the
   * queues that the caller may see. `next` is null on the last page.
   */
  async list(caller: Caller, page: NamePage): Promise<{ schedules: ListedSchedule[]; next: string | null }> {
    const { limit } = page
    const found = await this.#broker.inTurn(caller, () =>
      this.#store.last.listSchedules({ ...page, limit: limit + 1 })
    )
    return { schedules: found.slice(0, limit), next: found.length > limit ? found[limit - 1]!.name : null }
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
  async delete(name: string, caller: ScheduleCaller): Promise<void> {
    await this.#transaction(caller, async verbs => {
      const { schedule } = await lock(verbs, name, caller)
      if (schedule === null) throw scheduleNotFound(name)
      await verbs.removeSchedule(name)
    })
  }

  /**
   * Enqueues the message of a schedule now, paused or not. Refuses with scheduleNotFound, and as an
   * enqueue does.
   */
  async run(name: string, idempotencyKey: string | undefined, by: ScheduleCaller): Promise<Enqueued> {
    const { queue, body, headers, priority } = await this.get(name, by)
    const ordered = await this.#broker.findQueue(by.caller, queue).then(
      ({ settings }) => isOrdered(settings),
      () => false
    )
    const message: NewMessage = {
      body,
      contentType: null,
      headers: { ...headers, [nameHeader]: name },
      priority: ordered ? undefined : priority,
      idempotencyKey
    }
    return (await this.#broker.enqueue(by.caller, queue, [message], false))[0]!
  }

  #transaction<T>({ caller }: ScheduleCaller, work: (verbs: Verbs) => Promise<T>): Promise<T> {
    return this.#broker.inTurn(caller, () => this.#store.last.transaction(work))
  }
}

/**
 * Locks a schedule that the caller may manage. Only such a caller can hold up its firing. Refuses
 * with forbidden when the caller sees it, but may not manage it. `isHidden`: there is one that the
 * caller does not see.
 */
async function lock(
  verbs: Verbs,
  name: string,
  { key, permit }: ScheduleCaller
): Promise<{ now: string; schedule: Schedule | null; isHidden: boolean }> {
  const locked = await verbs.lockSchedule(name, key?.within('manage') ?? everyQueue)
  if (locked.schedule !== null) return { ...locked, isHidden: false }
  const queue = await verbs.queueOfSchedule(name)
  const isHidden = queue !== null && key !== null && !key.sees(queue)
  if (queue !== null && !isHidden) permit(queue)
  return { ...locked, isHidden }
}

// A key that only pauses a schedule leaves it to its owner. Any other change makes the key the
// owner: its rate counts the firings from then on.
function ownerAfter(
  schedule: Schedule | null,
  { paused, ...rest }: ScheduleChange,
  { key }: ScheduleCaller
): Owner | null {
  const pausesOnly = paused === true && Object.keys(rest).length === 0
  if (schedule !== null && pausesOnly) return schedule.owner
  return key === null ? null : { id: key.id, name: key.name }
}
