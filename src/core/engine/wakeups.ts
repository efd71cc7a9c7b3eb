/** Who waits for which queue or message. Knows nothing of HTTP or PostgreSQL. */
import type { Caller } from '../caller.ts'
import type { Digits } from '../message.ts'
import type { Room } from '../rows.ts'
import type { Share } from './share.ts'

/** What a caller waits for: ready messages of a queue, or the end of one message. */
type Awaited = { queueId: Digits } | { messageId: Digits }

/** All seats for one queue, or for one message. `version` counts its wakes. */
interface Bench {
  id: Digits
  /** The map that holds this bench. */
  among: Map<Digits, Bench>
  version: number
  seats: number
  waiting: Set<Seat>
  /** As many messages of the queue are leased as may be. Ready ones wake nobody. */
  full: boolean
  /** The rate of the queue is used up until this goes off. Ready messages wake nobody. */
  due: NodeJS.Timeout | undefined
  /** Ready messages that have woken nobody, because the limits were used up. */
  untold: number
  /** How many places have become free since the first seat. */
  frees: number
}

/** Leases that a rate allows within this time are given out together, unless its burst is too small. */
const joinMs = 10

interface Observer {
  /** Somebody begins to wait for a queue. */
  waits(queueId: Digits): void
  /** Somebody begins to wait for the end of a message. */
  waitsForEnds(): void
  /** A message has ended. */
  ended(messageId: Digits): void
}

/** Callers that wait for the same are woken in the order in which they began to wait. */
export class Wakeups {
  readonly #queues = new Map<Digits, Bench>()
  readonly #messages = new Map<Digits, Bench>()
  readonly #share: Share
  #closed = false
  /** Hears who waits, and what has ended. */
  observer: Observer | null = null

  /** `share` bounds the seats. */
  constructor(share: Share) {
    this.#share = share
  }

  /**
   * Takes a seat. Take it *before* you ask the store. A wake that comes between the store's answer
   * and the wait then ends the wait at once. `leave()` gives the seat back. Refuses with
   * shareUsedUp, tooManyWaiting. null: a part of the service itself, which counts for no share.
   */
  sit(caller: Caller | null, awaited: Awaited): Seat {
    if (caller !== null) this.#share.take(caller, 1)
    const [among, id] =
      'queueId' in awaited ? [this.#queues, awaited.queueId] : [this.#messages, awaited.messageId]
    let bench = among.get(id)
    if (bench === undefined) {
      bench = {
        id,
        among,
        version: 0,
        seats: 0,
        waiting: new Set(),
        full: false,
        due: undefined,
        untold: 0,
        frees: 0
      }
      among.set(id, bench)
      if (among === this.#queues) this.observer?.waits(id)
      else this.observer?.waitsForEnds()
    }
    bench.seats++
    return new Seat(this, bench, caller)
  }

  /** Only `Seat.leave` calls this. */
  left(bench: Bench, caller: Caller | null): void {
    if (caller !== null) this.#share.give(caller, 1)
    if (--bench.seats > 0) return
    clearTimeout(bench.due)
    bench.among.delete(bench.id)
  }

  /**
   * Messages of a queue are ready. Wakes at most `count` callers that wait for them, the longest
   * waiting first. While the limits of the queue are used up it wakes nobody.
   */
  wake(queueId: Digits, count: number): void {
    const bench = this.#queues.get(queueId)
    if (bench === undefined) return
    if (isOpen(bench)) wakeSeats(bench, count)
    else bench.untold += count
  }

  /** As `wake`, whatever was known of the limits: they have changed, or have been looked up. */
  open(queueId: Digits, count: number): void {
    const bench = this.#queues.get(queueId)
    if (bench === undefined) return
    clearTimeout(bench.due)
    Object.assign(bench, { full: false, due: undefined, untold: 0 })
    wakeSeats(bench, count)
  }

  /** Places of a queue that was full are free. Wakes a caller for each. */
  free(queueId: Digits, count: number): void {
    const bench = this.#queues.get(queueId)
    if (bench === undefined) return
    bench.frees += count
    if (!bench.full) return
    bench.full = false
    if (isOpen(bench)) tell(bench, count)
  }

  /** Counts the places that have become free. */
  frees(queueId: Digits): number {
    return this.#queues.get(queueId)?.frees ?? 0
  }

  /**
   * What a lease has left of the limits of a queue. The lease did not see places that became free
   * after it began, when `frees` was `freesBefore`.
   */
  limit(queueId: Digits, room: Room, freesBefore: number): void {
    const bench = this.#queues.get(queueId)
    if (bench === undefined) return
    clearTimeout(bench.due)
    bench.due = undefined
    const unseen = room.places !== null && room.places <= 0 ? bench.frees - freesBefore : 0
    const places = room.places === null ? Infinity : room.places + unseen
    bench.full = places <= 0
    if (room.tokens !== null && room.tokens < 1) {
      const { inMs, count } = dueOf(room.tokens, room.perSecond!, room.burst!)
      bench.due = setTimeout(() => {
        bench.due = undefined
        if (isOpen(bench)) tell(bench, count)
      }, inMs).unref()
    }
    const told = Math.min(bench.untold, places, Math.floor(room.tokens ?? Infinity))
    if (isOpen(bench)) tell(bench, Math.max(unseen, told))
  }

  /** Wakes all callers that wait for the end of a message. */
  wakeForEnd(messageId: Digits): void {
    this.observer?.ended(messageId)
    this.wakeForEndElsewhere(messageId)
  }

  /** As wakeForEnd, for a message that has ended at another process. */
  wakeForEndElsewhere(messageId: Digits): void {
    if (this.#messages.size > 0) wakeSeats(this.#messages.get(messageId), Infinity)
  }

  /** Wakes everyone once. After a gap in the notices, anyone may have missed one. */
  wakeAll(): void {
    for (const benches of [this.#queues, this.#messages]) {
      for (const bench of benches.values()) wakeSeats(bench, Infinity)
    }
  }

  /** The queues for which somebody has a seat. */
  waitedQueues(): Digits[] {
    return [...this.#queues.keys()]
  }

  /** Whether somebody waits for the end of a message. */
  get waitsForEnds(): boolean {
    return this.#messages.size > 0
  }

  /** Whether somebody has a seat for the queue. */
  waitsFor(queueId: Digits): boolean {
    return this.#queues.has(queueId)
  }

  /** How many seats are taken. */
  get size(): number {
    return this.#share.held
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Ends every wait now, and every later wait at once. */
  close(): void {
    this.#closed = true
    this.wakeAll()
  }
}

const isOpen = ({ full, due }: Bench): boolean => !full && due === undefined

/** The limits allow `count` more leases. */
function tell(bench: Bench, count: number): void {
  bench.untold = Math.max(0, bench.untold - count)
  if (count > 0) wakeSeats(bench, count)
}

/** When a rate allows the next lease, and how many it allows then. */
function dueOf(tokens: number, perSecond: number, burst: number): { inMs: number; count: number } {
  const msUntil = (count: number) => ((count - tokens) / perSecond) * 1000
  const inMs = Math.ceil(Math.max(msUntil(1), Math.min(joinMs, msUntil(burst / 2))))
  return { inMs, count: Math.max(1, Math.floor(tokens + (perSecond * inMs) / 1000)) }
}

function wakeSeats(bench: Bench | undefined, count: number): void {
  if (bench === undefined) return
  bench.version++
  for (const seat of bench.waiting) {
    if (count-- <= 0) break
    seat.wake()
  }
}

/**
 * One caller who waits. Tens of thousands may wait, so a seat is only one object and one timer. It
 * has no closures, and listens to its signal itself (`handleEvent`).
 */
class Seat {
  readonly #wakeups: Wakeups
  readonly #bench: Bench
  readonly #caller: Caller | null
  #version: number
  #signal: AbortSignal | null = null
  #timer: NodeJS.Timeout | undefined
  #resolve: ((again: boolean) => void) | null = null

  constructor(wakeups: Wakeups, bench: Bench, caller: Caller | null) {
    this.#wakeups = wakeups
    this.#bench = bench
    this.#caller = caller
    this.#version = bench.version
  }

  /**
   * Waits until `untilMs`, on the clock of `performance.now()`. True after a wake: ask the store
   * again. False when the time is up, the caller has gone, or the service closes. A seat has one
   * wait at a time.
   */
  wait(untilMs: number, signal: AbortSignal): Promise<boolean> {
    const left = untilMs - performance.now()
    const woken = this.#bench.version !== this.#version
    this.#version = this.#bench.version
    const over = left <= 0 || signal.aborted || this.#wakeups.closed
    if (woken || over) return Promise.resolve(!over)
    this.#signal = signal
    signal.addEventListener('abort', this)
    this.#timer = setTimeout(expire, left, this)
    this.#bench.waiting.add(this)
    return new Promise(resolve => {
      this.#resolve = resolve
    })
  }

  wake(): void {
    this.#end(!this.#wakeups.closed)
  }

  /** The time is up. */
  expire(): void {
    this.#end(false)
  }

  /** The caller has gone. */
  handleEvent(): void {
    this.#end(false)
  }

  leave(): void {
    this.#wakeups.left(this.#bench, this.#caller)
  }

  #end(again: boolean): void {
    clearTimeout(this.#timer)
    this.#signal!.removeEventListener('abort', this)
    this.#bench.waiting.delete(this)
    this.#version = this.#bench.version
    this.#resolve!(again)
  }
}

const expire = (seat: Seat) => seat.expire()
