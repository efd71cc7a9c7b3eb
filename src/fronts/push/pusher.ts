/**
 * Delivers the messages of one queue: an ordinary consumer, which leases as many messages as it can
 * send at once and settles each by the answer of the endpoint.
 */
import { isDeepStrictEqual } from 'node:util'
import type { Broker } from '../../core/broker.ts'
import { lineOfWork } from '../../core/engine/oneByOne.ts'
import type { Wakeups } from '../../core/engine/wakeups.ts'
import { QueueError } from '../../core/errors.ts'
import { delaySecondsMax, pushDeliveriesMax, pushReasonCharsMax } from '../../core/limits.ts'
import { isOrdered } from '../../core/lines.ts'
import type { LeasedMessage } from '../../core/message.ts'
import type { Delivery, Push, PushOutcome, PushState } from '../../core/push.ts'
import { parseReceipt } from '../../core/receipt.ts'
import { Circuit } from './circuit.ts'
import type { Answer, Endpoints, NoAnswer } from './endpoint.ts'
import { fieldsOf, retryAfterOf, signableOf } from './request.ts'
import type { Part, Room } from './room.ts'
import type { Settler } from './settler.ts'

const worker = 'push'

/** A lease outlasts its request by so much: to settle it, and to try that again. */
const settleSeconds = 10
/** An idle queue is looked at so often, although a message wakes it. */
const idleMs = 300_000
/** A lease may bring hundreds of messages. To begin all their requests at once would stop everybody. */
const beginOneByOne = lineOfWork()
/** After a refusal of the broker, and for room that somebody else may have left unused. */
const againMs = 1000

/** Begins the span of a delivery, which sends the headers that it answers. */
export type TraceDelivery = (
  queue: string,
  message: LeasedMessage,
  url: URL
) => {
  headers: LeasedMessage['headers']
  end(ended: { status: number | null; outcome: PushOutcome | 'stopped'; reason: string | null }): void
}

/** What all queues share. */
export interface Shared {
  broker: Pick<Broker, 'findQueue' | 'lease' | 'settle' | 'pushes'>
  wakeups: Wakeups
  room: Room
  endpoints: Endpoints
  settler: Settler
  /** null: no spans are made. */
  trace: TraceDelivery | null
  /** Aborts requests when the service ends. */
  ending: AbortSignal
  onDelivered: (outcome: PushOutcome, seconds: number) => void
  onError: (error: unknown) => void
}

/** What the answer of an endpoint means. */
interface Verdict {
  outcome: PushOutcome
  reason: string | null
  /** The endpoint itself fails. */
  isEndpoints: boolean
  /** The message cannot be the cause. */
  isFaultless: boolean
  retryAfterSeconds: number | null
}

/** Answers of an endpoint that is busy or away, whatever the message is. */
const turnedAway = [429, 502, 503, 504]

export class Pusher {
  readonly #shared: Shared
  readonly #part: Part
  readonly #circuit = new Circuit()
  readonly #stopping = new AbortController()
  readonly #deliveries: Delivery[] = []
  readonly #running: Promise<void>
  readonly #sending = new Set<Promise<void>>()
  #push: Push
  #url: URL
  #slots: number
  #wake: (() => void) | null = null

  /** `slots`: how many of the push's requests this process may have under way. */
  constructor(push: Push, slots: number, shared: Shared) {
    this.#push = push
    this.#url = new URL(push.url)
    this.#slots = slots
    this.#shared = shared
    this.#part = shared.room.open(push.callerId)
    this.#running = this.#run()
  }

  /** Its settings, or its secret, have changed. What is under way ends as it began. */
  change(push: Push, slots: number): void {
    if (slots === this.#slots && isDeepStrictEqual(push, this.#push)) return
    this.#push = push
    this.#url = new URL(push.url)
    this.#slots = slots
    this.#circuit.reset()
    this.#poke()
  }

  /** Whom it counts for. */
  get makerId(): string {
    return this.#push.callerId
  }

  get state(): PushState {
    return { slowed: this.#circuit.slowed, deliveries: this.#deliveries.toReversed() }
  }

  get isSlowed(): boolean {
    return this.#circuit.isSlowed
  }

  /** How many of its requests are under way. */
  get underway(): number {
    return this.#sending.size
  }

  /** Begins nothing more. */
  stop(): void {
    this.#stopping.abort()
    this.#poke()
  }

  /** Resolves, after a stop, when nothing is under way. */
  async ended(): Promise<void> {
    await this.#running
    await Promise.all(this.#sending)
    this.#shared.room.close(this.#part)
  }

  async #run(): Promise<void> {
    while (!this.#isOver) {
      try {
        await this.#consume()
      } catch (error) {
        // The database is away or the bounds are used up, which their own parts report.
        if (!(error instanceof QueueError)) this.#shared.onError(error)
        await this.#pause(againMs)
      }
    }
  }

  /** Leases and sends, until it is stopped. Throws what the broker refuses. */
  async #consume(): Promise<void> {
    const { wakeups } = this.#shared
    const { signal } = this.#stopping
    // The number of pushes is bounded, and calls that wait have a bound of their own.
    const seat = wakeups.sit(null, { queueId: this.#push.queueId })
    try {
      while (!this.#isOver) {
        const taken = this.#takeRoom()
        if (taken === 0) await this.#pause(this.#waitMs)
        else if (!(await this.#leaseAndSend(taken))) await seat.wait(performance.now() + idleMs, signal)
      }
    } finally {
      seat.leave()
    }
  }

  get #isOver(): boolean {
    return this.#stopping.signal.aborted || this.#shared.wakeups.closed
  }

  /** For how many requests there is room now. */
  #takeRoom(): number {
    const { room } = this.#shared
    const wanted = this.#circuit.allows(this.#slots - this.#sending.size)
    if (wanted <= 0) return 0
    const taken = room.take(this.#part, wanted)
    if (taken === 0) room.wait(this.#part, () => this.#poke())
    return taken
  }

  /** How long to wait at most where nothing may begin. A delivery that ends wakes earlier. */
  get #waitMs(): number {
    return (this.#circuit.isSlowed ? this.#circuit.waitMs : null) ?? againMs
  }

  /** Leases at most as many messages, and begins to send them. False: there was none. */
  async #leaseAndSend(max: number): Promise<boolean> {
    const { broker, room } = this.#shared
    let unused = max
    try {
      const leased = await this.#lease(broker, max)
      const begun = leased.filter(message => this.#begin(message))
      unused -= begun.length
      return leased.length > 0
    } finally {
      room.give(this.#part, unused)
    }
  }

  async #lease(broker: Shared['broker'], max: number): Promise<LeasedMessage[]> {
    const { queue, queueId, timeoutSeconds } = this.#push
    const leaseSeconds = timeoutSeconds + settleSeconds
    const ask = async (max: number) => {
      const request = { max, waitSeconds: 0, leaseSeconds, worker, idempotencyKey: null }
      return (await broker.lease(this.#part.owner, queue, request, [], () => this.#stopping.signal)).messages
    }
    const { settings } = await broker.findQueue(this.#part.owner, queue)
    // One call may bring messages of one group, which must go one after the other. Calls of one flush
    // bring those of different groups.
    const messages = isOrdered(settings)
      ? await allOf(Array.from({ length: max }, () => ask(1)))
      : await ask(max)
    const [first] = messages
    if (first === undefined) return []
    // A queue made again under this name has no push yet, and these messages are not for us.
    const isOurs = parseReceipt(queue, first.receipt, '').queueId === queueId
    if (isOurs && !this.#isOver) return messages
    for (const { receipt } of messages) {
      this.#shared.settler.settle('release', queue, { receipt }, settleSeconds)
    }
    return []
  }

  /** False: the endpoint has begun to fail meanwhile, and the message waits with the others. */
  #begin(message: LeasedMessage): boolean {
    if (this.#circuit.allows(1) === 0) {
      this.#shared.settler.settle('release', this.#push.queue, { receipt: message.receipt }, settleSeconds)
      return false
    }
    const isTrial = this.#circuit.begin()
    const sending = this.#deliver(message, isTrial).catch(error => {
      if (isTrial) this.#circuit.trialEnded()
      this.#shared.onError(error)
    })
    this.#sending.add(sending)
    sending.finally(() => {
      this.#sending.delete(sending)
      this.#shared.room.give(this.#part, 1)
      this.#poke()
    })
    return true
  }

  async #deliver(message: LeasedMessage, isTrial: boolean): Promise<void> {
    const { endpoints, ending, broker, room, settler, trace, onDelivered } = this.#shared
    const push = this.#push
    await new Promise<void>(resolve => beginOneByOne(this.#part.owner, resolve))
    if (ending.aborted) {
      return settler.settle('release', push.queue, { receipt: message.receipt }, settleSeconds)
    }
    const span = trace === null ? null : trace(push.queue, message, this.#url)
    const signable = signableOf(span === null ? message : { ...message, headers: span.headers })
    const bytes = Buffer.byteLength(signable.body)
    const startedMs = performance.now()
    const at = new Date().toISOString()
    room.holdBytes(this.#part, bytes)
    const answer = await endpoints
      .post({
        url: this.#url,
        headers: fieldsOf(push, broker.pushes.keysOf(push), signable),
        body: signable.body,
        timeoutSeconds: push.timeoutSeconds,
        signal: ending
      })
      .finally(() => room.giveBytes(this.#part, bytes))
    const { receipt } = message
    if (ending.aborted && answer.status === null) {
      span?.end({ status: null, outcome: 'stopped', reason: answer.reason })
      return settler.settle('release', push.queue, { receipt }, settleSeconds)
    }
    const seconds = secondsSince(startedMs)
    const verdict = verdictOf(answer)
    this.#judge(verdict, isTrial)
    onDelivered(verdict.outcome, seconds)
    const { outcome, reason } = verdict
    span?.end({ status: answer.status, outcome, reason })
    this.#note({
      id: message.id,
      attempt: message.attempt,
      at,
      outcome,
      status: answer.status,
      seconds,
      reason
    })
    this.#settle(push.queue, receipt, verdict)
  }

  #judge({ isEndpoints, reason, retryAfterSeconds }: Verdict, isTrial: boolean): void {
    if (isEndpoints) this.#circuit.failed(reason!, isTrial, (retryAfterSeconds ?? 0) * 1000)
    else this.#circuit.worked()
  }

  #settle(queue: string, receipt: string, verdict: Verdict): void {
    const { settler } = this.#shared
    const { outcome, retryAfterSeconds } = verdict
    const reason = verdict.reason ?? ''
    if (outcome === 'delivered') return settler.settle('ack', queue, { receipt }, settleSeconds)
    // The endpoint is known to fail, and did not look at it: that is no attempt of this message. The
    // failure that made it known is none either. By default it would be a message's last.
    if (verdict.isFaultless && this.#circuit.isSlowed) {
      return settler.settle('release', queue, { receipt }, settleSeconds)
    }
    const dead = outcome === 'gone' ? { dead: true } : {}
    const delay =
      retryAfterSeconds === null ? {} : { delaySeconds: Math.min(delaySecondsMax, retryAfterSeconds) }
    settler.settle('fail', queue, { receipt, reason, ...dead, ...delay }, settleSeconds)
  }

  #note(delivery: Delivery): void {
    this.#deliveries.push(delivery)
    if (this.#deliveries.length > pushDeliveriesMax) this.#deliveries.shift()
  }

  /** Waits until something has changed here, or for so long. */
  async #pause(ms: number): Promise<void> {
    if (this.#isOver) return
    await new Promise<void>(resolve => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#wake = null
    this.#shared.room.leave(this.#part)
    // Requests that end in one turn of the event loop make room for one lease.
    await new Promise(setImmediate)
  }

  #poke(): void {
    this.#wake?.()
  }
}

/** To the microsecond. */
export const secondsSince = (startedMs: number) =>
  Math.round((performance.now() - startedMs) * 1000) / 1_000_000

/** What these calls have leased. Throws only where each of them was refused. */
async function allOf(calls: Promise<LeasedMessage[]>[]): Promise<LeasedMessage[]> {
  const answers = await Promise.allSettled(calls)
  const leased = answers.flatMap(answer => (answer.status === 'fulfilled' ? [answer.value] : []))
  return leased.length > 0 ? leased.flat() : await calls[0]!
}

/** How a delivery without an answer is counted. */
function failureOf({ unreached, timedOut }: NoAnswer): PushOutcome {
  if (unreached) return 'unreachable'
  return timedOut ? 'timeout' : 'failed'
}

/** What follows from an answer. */
export function verdictOf(answer: Answer | NoAnswer): Verdict {
  if (answer.status === null) {
    const { reason, unreached } = answer
    return {
      outcome: failureOf(answer),
      reason,
      isEndpoints: true,
      isFaultless: unreached,
      retryAfterSeconds: null
    }
  }
  const { status, text } = answer
  if (status >= 200 && status < 300) {
    return {
      outcome: 'delivered',
      reason: null,
      isEndpoints: false,
      isFaultless: true,
      retryAfterSeconds: null
    }
  }
  const said = text.slice(0, pushReasonCharsMax).toWellFormed()
  const reason = said === '' ? `HTTP ${status}` : `HTTP ${status}: ${said}`
  const retryAfterSeconds = status === 429 || status === 503 ? retryAfterOf(answer.retryAfter) : null
  return {
    outcome: status === 410 ? 'gone' : 'failed',
    reason,
    isEndpoints: status >= 500 || status === 429,
    isFaultless: turnedAway.includes(status),
    retryAfterSeconds
  }
}
