/** Who waits for which queue or message. Knows nothing of HTTP or PostgreSQL. */
import type { Caller } from '../caller.ts'
import type { Digits } from '../message.ts'
import type { Share } from './share.ts'

/** What a caller waits for: ready messages of a queue, or the end of one message. */
type Awaited = { queueId: Digits } | { messageId: Digits }

/** All seats for one queue, or for one message. `version` counts its wakes. */
interface Topic {
  id: Digits
  /** The map that holds this topic. */
  among: Map<Digits, Topic>
  version: number
  seats: number
  waiting: Set<Seat>
}

/** Callers that wait for the same topic are woken in the order in which they began to wait. */
export class Wakeups {
  readonly #queues = new Map<Digits, Topic>()
  readonly #messages = new Map<Digits, Topic>()
  readonly #share: Share
  #closed = false

  /** `share` bounds the seats. */
  constructor(share: Share) {
    this.#share = share
  }

  /**
   * Takes a seat. Take it *before* you ask the store. A wake that comes between the store's answer
   * and the wait then ends the wait at once. `leave()` gives the seat back. Refuses with
   * shareUsedUp, tooManyWaiting.
   */
  sit(caller: Caller, awaited: Awaited): Seat {
    this.#share.take(caller, 1)
    const [among, id] =
      'queueId' in awaited ? [this.#queues, awaited.queueId] : [this.#messages, awaited.messageId]
    let topic = among.get(id)
    if (topic === undefined) {
      topic = { id, among, version: 0, seats: 0, waiting: new Set() }
      among.set(id, topic)
    }
    topic.seats++
    return new Seat(this, topic, caller)
  }

  /** Only `Seat.leave` calls this. */
  left(topic: Topic, caller: Caller): void {
    this.#share.give(caller, 1)
    if (--topic.seats === 0) topic.among.delete(topic.id)
  }

  /** Wakes at most `count` callers that wait for messages of a queue. The longest waiting come first. */
  wake(queueId: Digits, count: number): void {
    wakeSeats(this.#queues.get(queueId), count)
  }

  /** Wakes all callers that wait for the end of a message. */
  wakeForEnd(messageId: Digits): void {
    if (this.#messages.size > 0) wakeSeats(this.#messages.get(messageId), Infinity)
  }

  /** Wakes everyone once. After a gap in the notices, anyone may have missed one. */
  wakeAll(): void {
    for (const topics of [this.#queues, this.#messages]) {
      for (const topic of topics.values()) wakeSeats(topic, Infinity)
    }
  }

  /** The queues for which somebody has a seat. */
  waitedQueues(): Digits[] {
    return [...this.#queues.keys()]
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

function wakeSeats(topic: Topic | undefined, count: number): void {
  if (topic === undefined) return
  topic.version++
  for (const seat of topic.waiting) {
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
  readonly #topic: Topic
  readonly #caller: Caller
  #version: number
  #signal: AbortSignal | null = null
  #timer: NodeJS.Timeout | undefined
  #resolve: ((again: boolean) => void) | null = null

  constructor(wakeups: Wakeups, topic: Topic, caller: Caller) {
    this.#wakeups = wakeups
    this.#topic = topic
    this.#caller = caller
    this.#version = topic.version
  }

  /**
   * Waits until `untilMs`, on the clock of `performance.now()`. True after a wake: ask the store
   * again. False when the time is up, the caller has gone, or the service closes. A seat has one
   * wait at a time.
   */
  wait(untilMs: number, signal: AbortSignal): Promise<boolean> {
    const left = untilMs - performance.now()
    const woken = this.#topic.version !== this.#version
    this.#version = this.#topic.version
    const over = left <= 0 || signal.aborted || this.#wakeups.closed
    if (woken || over) return Promise.resolve(!over)
    this.#signal = signal
    signal.addEventListener('abort', this)
    this.#timer = setTimeout(expire, left, this)
    this.#topic.waiting.add(this)
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
    this.#wakeups.left(this.#topic, this.#caller)
  }

  #end(again: boolean): void {
    clearTimeout(this.#timer)
    this.#signal!.removeEventListener('abort', this)
    this.#topic.waiting.delete(this)
    this.#version = this.#topic.version
    this.#resolve!(again)
  }
}

const expire = (seat: Seat) => seat.expire()
