/** Fires the schedules that are due. */
import type { ApiKey } from '../apiKey.ts'
import type { Broker } from '../broker.ts'
import { theService } from '../caller.ts'
import type { Signals } from '../engine/signals.ts'
import { QueueError } from '../errors.ts'
import type { Digits } from '../message.ts'
import type { EnqueueRow, Store, Verbs } from '../ports.ts'
import {
  dueHeader,
  firingBytesMax,
  lateMsMax,
  nameHeader,
  rfc3339,
  type Calendar,
  type DueSchedule,
  type DueTurn,
  type FiredSchedule,
  type LastRun
} from '../schedule.ts'

interface FiringsOptions {
  /** Whether a schedule that fires makes an unknown queue. */
  createQueues: boolean
  /** After that, a round of turns ends. What has come due meanwhile then gets its turn. */
  roundMsMax?: number
  /** A key in force. Firings count against the rate of their owner's key. */
  keyOf: (id: string) => ApiKey | undefined
}

/** Rounds of `fireDue` before it answers. What is still due then is fired by the next call. */
const roundsMax = 5
const roundMsMaxDefault = 1000
/** Schedules that are fired in one commit, at most. */
const firingsMax = 50

/** What stands in the way of firings in one commit. */
interface Obstacles {
  /** Schedules whose queues have no room. */
  full: Set<string>
  /** Queues that are not there, and that the owner's share does not allow. */
  refusedQueues: Set<string>
  /** Firings of each owner in this round. */
  fired: Map<ApiKey, number>
}

export class Firings {
  readonly #store: Store
  readonly #broker: Pick<Broker, 'makeQueueFor'>
  readonly #signals: Signals
  readonly #calendar: Calendar
  readonly #options: FiringsOptions

  constructor(
    store: Store,
    broker: Pick<Broker, 'makeQueueFor'>,
    signals: Signals,
    calendar: Calendar,
    options: FiringsOptions
  ) {
    this.#store = store
    this.#broker = broker
    this.#signals = signals
    this.#calendar = calendar
    this.#options = options
  }

  /**
   * Fires all schedules that are due, and answers in how many milliseconds the next one is due. Any
   * number of replicas may do so at once.
   */
  async fireDue(): Promise<number> {
    for (let round = 0; round < roundsMax; round++) {
      if ((await this.#fireRound()) === 0) break
    }
    return await this.#store.msUntilSchedule()
  }

  // Owners take turns, so one with a thousand large messages delays those of another by one of them.
  // The first turn is never cut short: else the same owners could always come first. The rates of
  // owners are charged at the end. One that was just used up has a little left a moment later, so each
  // commit would let one more through.
  async #fireRound(): Promise<number> {
    const endMs = performance.now() + (this.#options.roundMsMax ?? roundMsMaxDefault)
    const fired = new Map<ApiKey, number>()
    let count = 0
    try {
      for (const { turn, names } of commitsOf(await this.#store.listDueSchedules())) {
        if (turn > 1 && performance.now() > endMs) break
        const refusedQueues = this.#options.createQueues ? await this.#makeQueues(names) : new Set<string>()
        count += await this.#fireSome(names, refusedQueues, fired)
      }
    } finally {
      for (const [key, messages] of fired) key.messages.take(messages)
    }
    return count
  }

  // In commits of their own: if a queue cannot be made, only its own schedules miss it. Answers the
  // queues that no owner may make. An owner that may make no more is asked for once, so that its
  // schedules do not hold up those of others.
  async #makeQueues(names: string[]): Promise<Set<string>> {
    const refused = new Set<string>()
    const refusedOwners = new Set<string | null>()
    for (const { queue, ownerId } of await this.#store.missingQueues(names)) {
      if (refusedOwners.has(ownerId)) {
        refused.add(queue)
        continue
      }
      const owner = ownerId === null ? theService : (this.#keyOf(ownerId) ?? { id: ownerId, isAdmin: false })
      await this.#broker.makeQueueFor(owner, queue).then(
        () => refused.delete(queue),
        error => {
          if (!(error instanceof QueueError && error.code === 'tooManyQueues')) return
          refused.add(queue)
          refusedOwners.add(ownerId)
        }
      )
    }
    return refused
  }

  // Taking, enqueueing and moving on are one commit. A replica that is killed in between has done
  // nothing, and no schedule fires twice. Adds to `firedBefore`, of this round, what it has fired.
  async #fireSome(
    names: string[],
    refusedQueues: Set<string>,
    firedBefore: Map<ApiKey, number>
  ): Promise<number> {
    const { due, fired } = await this.#store.transaction(async verbs => {
      const due = await verbs.takeDueSchedules(names)
      const obstacles = { full: await fullQueues(verbs, due), refusedQueues, fired: new Map(firedBefore) }
      const fired: FiredSchedule[] = due.map(schedule => ({
        name: schedule.name,
        ...this.#decide(schedule, obstacles),
        messageId: null
      }))
      await enqueueFired(verbs, due, fired)
      if (due.length > 0) await verbs.moveSchedulesOn(fired)
      return { due, fired }
    })
    for (const [index, { messageId }] of fired.entries()) {
      if (messageId === null) continue
      const { queueId, ownerId, now, defaults } = due[index]!
      const key = this.#keyOf(ownerId)
      if (key !== undefined) firedBefore.set(key, (firedBefore.get(key) ?? 0) + 1)
      const delaySeconds = defaults?.delaySeconds ?? 0
      if (delaySeconds > 0) this.#signals.onDue(Date.parse(now) + delaySeconds * 1000)
      else this.#signals.onReady(queueId!, 1, Number(messageId))
    }
    return due.length
  }

  #keyOf(ownerId: string | null): ApiKey | undefined {
    return ownerId === null ? undefined : this.#options.keyOf(ownerId)
  }

  #decide(
    schedule: DueSchedule,
    obstacles: Obstacles
  ): { outcome: LastRun['outcome']; nextAt: string | null } {
    const { cron, timezone, missed, nextAt: at, now } = schedule
    const nowMs = Date.parse(now)
    const late = Date.parse(at) < nowMs - lateMsMax
    try {
      const nextAt = rfc3339(this.#calendar(cron, timezone, late ? nowMs : Date.parse(at)))
      const outcome = late && missed === 'skip' ? 'skipped' : this.#outcomeOf(schedule, obstacles)
      return { outcome, nextAt }
    } catch {
      // The release that took this expression could read it. This release cannot.
      return { outcome: 'invalidSchedule', nextAt: null }
    }
  }

  #outcomeOf(
    { name, queue, queueId, ownerId, body, messageBytesMax }: DueSchedule,
    { full, refusedQueues, fired }: Obstacles
  ): LastRun['outcome'] {
    if (queueId === null) return refusedQueues.has(queue) ? 'tooManyQueues' : 'queueNotFound'
    if (full.has(name)) return 'queueFull'
    if (Buffer.byteLength(body) > messageBytesMax) return 'bodyTooLarge'
    const key = this.#keyOf(ownerId)
    if (key === undefined) return 'enqueued'
    const count = fired.get(key) ?? 0
    if (key.messages.spentBy(count)) return 'rateLimited'
    fired.set(key, count + 1)
    return 'enqueued'
  }
}

/** Schedules that are fired in one commit. */
interface Commit {
  /** The turn of the first one. */
  turn: number
  names: string[]
  bytes: number
}

/**
 * Shares due schedules out among commits, in their order. First turns have commits of their own, so
 * they wait for no others.
 */
function commitsOf(due: DueTurn[]): Commit[] {
  const commits: Commit[] = []
  for (const { name, turn, bytes } of due) {
    const last = commits.at(-1)
    const fits =
      last !== undefined &&
      last.names.length < firingsMax &&
      last.bytes + bytes <= firingBytesMax &&
      (last.turn > 1 || turn === 1)
    if (fits) {
      last.names.push(name)
      last.bytes += bytes
    } else {
      commits.push({ turn, names: [name], bytes })
    }
  }
  return commits
}

// Writes the ids of the messages into `fired`.
async function enqueueFired(verbs: Verbs, due: DueSchedule[], fired: FiredSchedule[]): Promise<void> {
  const firing = [...due.keys()].filter(index => fired[index]!.outcome === 'enqueued')
  if (firing.length === 0) return
  const answers = await verbs.enqueue(firing.map(index => rowOf(due[index]!)))
  for (const [i, index] of firing.entries()) {
    const id = answers[i]?.id
    // Without an id, the queue was deleted after the schedule was taken.
    if (id === undefined) fired[index]!.outcome = 'queueNotFound'
    else fired[index]!.messageId = id
  }
}

// The schedules whose queues have no room.
async function fullQueues(verbs: Verbs, due: DueSchedule[]): Promise<Set<string>> {
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

function rowOf({ queueId, name, nextAt: at, body, headers, priority, defaults }: DueSchedule): EnqueueRow {
  return {
    queueId: queueId!,
    body,
    contentType: null,
    headers: { ...headers, [nameHeader]: name, [dueHeader]: at },
    priority,
    lined: true,
    defaults
  }
}
