/** Tells the other processes of a replica that messages are ready, where somebody waits for them there. */
import type { Digits } from '../message.ts'
import type { Siblings } from './siblings.ts'
import type { Wakeups } from './wakeups.ts'

/** A process that waited for a queue so lately hears of it still: consumers come back. */
const keptMs = 1000
/** What became ready so lately is told to a process that begins to wait. It may have just missed it. */
const missedMs = 200
/** Queues that became ready lately. More are forgotten: the sweeper finds what is missed. */
const recentMax = 10_000

interface Ready {
  count: number
  position: number
  atMs: number
}

export class Interest {
  readonly #siblings: Siblings
  readonly #wakeups: Pick<Wakeups, 'waitedQueues' | 'waitsForEnds' | 'wakeForEndElsewhere'>
  /** Queues that this process has said it waits for, and when somebody last waited. */
  readonly #mine = new Map<Digits, number>()
  /** Processes that wait for a queue. */
  readonly #others = new Map<Digits, Set<string>>()
  readonly #recent = new Map<Digits, Ready>()
  /** When somebody last waited for the end of a message here. null: the others know that nobody does. */
  #endsMs: number | null = null
  /** Processes that wait for the end of a message. */
  readonly #endsElsewhere = new Set<string>()

  constructor(
    siblings: Siblings,
    wakeups: Pick<Wakeups, 'waitedQueues' | 'waitsForEnds' | 'wakeForEndElsewhere'>
  ) {
    this.#siblings = siblings
    this.#wakeups = wakeups
    siblings.hear('waitsForEnds', (from, waits) => {
      if (waits) this.#endsElsewhere.add(from)
      else this.#endsElsewhere.delete(from)
    })
    siblings.hear('ended', (_from, messageId) => wakeups.wakeForEndElsewhere(messageId))
    siblings.hear('waits', (from, queueId) => this.#waitsThere(from, queueId))
    siblings.hear('waitsNoMore', (from, queueId) => this.#waitsNoMoreThere(from, queueId))
    siblings.onJoined(() => {
      for (const queueId of this.#mine.keys()) siblings.tell('waits', queueId)
      if (this.#endsMs !== null) siblings.tell('waitsForEnds', true)
    })
    siblings.onGone(process => {
      this.#endsElsewhere.delete(process)
      for (const queueId of [...this.#others.keys()]) this.#waitsNoMoreThere(process, queueId)
    })
  }

  /** Somebody waits for a queue here. */
  waits(queueId: Digits): void {
    if (this.#siblings.alone) return
    if (!this.#mine.has(queueId)) this.#siblings.tell('waits', queueId)
    this.#mine.set(queueId, performance.now())
  }

  /** Somebody waits for the end of a message here. */
  waitsForEnds(): void {
    if (this.#siblings.alone) return
    if (this.#endsMs === null) this.#siblings.tell('waitsForEnds', true)
    this.#endsMs = performance.now()
  }

  /** A message has ended here. */
  ended(messageId: Digits): void {
    if (this.#endsElsewhere.size > 0) this.#siblings.tell('ended', messageId)
  }

  /** Messages have become ready here. */
  ready(queueId: Digits, count: number, position: number): void {
    if (this.#siblings.alone) return
    if (this.#others.has(queueId)) return this.#siblings.tell('ready', queueId, count, position)
    if (this.#recent.size >= recentMax) this.#recent.clear()
    this.#recent.set(queueId, { count, position, atMs: performance.now() })
  }

  /** Leases of a queue with `maxLeased` have ended here. */
  free(queueId: Digits, count: number): void {
    if (this.#others.has(queueId)) this.#siblings.tell('free', queueId, count)
  }

  /** Called now and then: forgets what is over. */
  tidy(): void {
    const nowMs = performance.now()
    for (const queueId of this.#wakeups.waitedQueues()) this.waits(queueId)
    if (this.#wakeups.waitsForEnds) this.waitsForEnds()
    if (this.#endsMs !== null && this.#endsMs + keptMs <= nowMs) {
      this.#endsMs = null
      this.#siblings.tell('waitsForEnds', false)
    }
    for (const [queueId, lastMs] of this.#mine) {
      if (lastMs + keptMs > nowMs) continue
      this.#mine.delete(queueId)
      this.#siblings.tell('waitsNoMore', queueId)
    }
    for (const [queueId, { atMs }] of this.#recent) {
      if (atMs + missedMs < nowMs) this.#recent.delete(queueId)
    }
  }

  #waitsThere(process: string, queueId: Digits): void {
    const processes = this.#others.get(queueId) ?? new Set()
    this.#others.set(queueId, processes.add(process))
    const missed = this.#recent.get(queueId)
    if (missed === undefined || missed.atMs + missedMs < performance.now()) return
    this.#siblings.tell('ready', queueId, missed.count, missed.position)
  }

  #waitsNoMoreThere(process: string, queueId: Digits): void {
    const processes = this.#others.get(queueId)
    processes?.delete(process)
    if (processes?.size === 0) this.#others.delete(queueId)
  }
}
