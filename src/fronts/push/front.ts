/** The push front: delivers the messages of every queue that has a push. */
import { AsyncResource } from 'node:async_hooks'
import { randomBytes } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Broker } from '../../core/broker.ts'
import { pushCaller, type Caller } from '../../core/caller.ts'
import type { Shares } from '../../core/engine/shares.ts'
import type { Wakeups } from '../../core/engine/wakeups.ts'
import { invalidRequest } from '../../core/errors.ts'
import type { Digits } from '../../core/message.ts'
import { pushOutcomes, type Push, type PushFigures, type PushOutcome } from '../../core/push.ts'
import { AddressRefused, Addresses } from './addresses.ts'
import { Endpoints, hostOf } from './endpoint.ts'
import { Pusher, secondsSince, verdictOf, type Shared, type TraceDelivery } from './pusher.ts'
import { fieldsOf } from './request.ts'
import { Room } from './room.ts'
import { Settler } from './settler.ts'

/** Requests that are under way at a stop may end for so long. Then their messages are released. */
const stopMsMax = 5000
/** A resolver that is slower does not hold up whoever sets a push. */
const resolveMsMax = 3000
/** Seconds of the histogram's buckets. */
const pushBoundsSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

interface PushOptions {
  broker: Broker
  wakeups: Wakeups
  shares: Pick<Shares, 'pushRequests' | 'pushBytes'>
  /** Which of the replica's processes this is, and how many there are. */
  processIndex: number
  processCount: number
  /** Makes a span for each delivery. */
  trace: TraceDelivery | null
  /** Every address may be reached, private ones too. */
  privateToo: boolean
  onError: (error: unknown) => void
}

/** What came of a test. */
export interface PushTest {
  delivered: boolean
  status: number | null
  seconds: number
  reason: string | null
}

export class PushFront {
  readonly #options: PushOptions
  readonly #addresses: Addresses
  readonly #endpoints: Endpoints
  readonly #settler: Settler
  readonly #shared: Shared
  readonly #counts = countDeliveries()
  readonly #ending = new AbortController()
  readonly #pushers = new Map<Digits, Pusher>()
  /** Those whose push was deleted, while they finish. */
  readonly #leaving = new Set<Promise<void>>()

  /** Delivers for the pushes that `broker.pushes` reads. */
  constructor(options: PushOptions) {
    const { broker, wakeups, shares, privateToo, trace, onError } = options
    this.#options = options
    this.#addresses = new Addresses(privateToo)
    this.#endpoints = new Endpoints(this.#addresses)
    this.#settler = new Settler(broker, pushCaller)
    this.#shared = {
      broker,
      wakeups,
      room: new Room(shares.pushRequests, shares.pushBytes),
      endpoints: this.#endpoints,
      settler: this.#settler,
      trace,
      ending: this.#ending.signal,
      onDelivered: this.#counts.add,
      onError
    }
    broker.pushes.states.read = queueId => this.#pushers.get(queueId)?.state ?? null
    // A request that changes a push starts a pusher, whose work is no part of that request.
    broker.pushes.onRead = AsyncResource.bind((pushes: Push[]) => this.#take(pushes))
  }

  /**
   * Refuses with invalidRequest a URL whose host may not be reached, and with shareUsedUp or overloaded
   * where too many are looked up.
   */
  async checkHost(caller: Caller, url: string): Promise<void> {
    const { pushRequests } = this.#options.shares
    pushRequests.take(caller, 1)
    // A host that is not known yet may be known by the first delivery, which checks it again.
    const found = this.#addresses
      .find(hostOf(new URL(url)))
      .then(
        () => null,
        (error: unknown) => error
      )
      .finally(() => pushRequests.give(caller, 1))
    const error = await Promise.race([found, pause(resolveMsMax, null, { ref: false })])
    if (!(error instanceof AddressRefused)) return
    throw invalidRequest(
      '/url',
      'must lead to the public internet. An operator can allow other addresses with HOLDFAST_PUSH_PRIVATE=on'
    )
  }

  /**
   * Sends a request without a message, whatever the state of the deliveries. Refuses with
   * pushNotFound, shareUsedUp, overloaded.
   */
  async test(caller: Caller, queue: string): Promise<PushTest> {
    const { pushes } = this.#options.broker
    const push = await pushes.find(caller, queue)
    const message = {
      id: `test_${randomBytes(8).toString('hex')}`,
      attempt: 1,
      contentType: 'application/json',
      headers: null,
      body: Buffer.from(JSON.stringify({ test: true, queue }))
    }
    const { pushRequests } = this.#options.shares
    pushRequests.take(caller, 1)
    const startedMs = performance.now()
    const answer = await this.#endpoints
      .post({
        url: new URL(push.url),
        headers: fieldsOf(push, pushes.keysOf(push), message),
        body: message.body,
        timeoutSeconds: push.timeoutSeconds,
        signal: this.#ending.signal
      })
      .finally(() => pushRequests.give(caller, 1))
    const { outcome, reason } = verdictOf(answer)
    const seconds = secondsSince(startedMs)
    return { delivered: outcome === 'delivered', status: answer.status, seconds, reason }
  }

  figures(): PushFigures {
    return {
      ...this.#counts.read(),
      boundsSeconds: pushBoundsSeconds,
      underway: [...this.#pushers.values()].reduce((sum, { underway }) => sum + underway, 0),
      slowed: [...this.#pushers.values()].filter(({ isSlowed }) => isSlowed).length
    }
  }

  /** Begins nothing more, and ends what is under way. */
  async stop(): Promise<void> {
    this.#take([])
    const ended = Promise.all(this.#leaving)
    await Promise.race([ended, pause(stopMsMax, undefined, { ref: false })])
    this.#ending.abort()
    await ended
    await this.#settler.drained()
    this.#endpoints.close()
  }

  /** From now on these are the pushes. */
  #take(pushes: Push[]): void {
    const slots = new Map(pushes.map(push => [push.queueId, slotsOf(push, this.#options)]))
    const makers = new Map(pushes.map(push => [push.queueId, push.callerId]))
    for (const [queueId, pusher] of this.#pushers) {
      // Somebody else may have made the push anew. Then it counts for that caller.
      if (!slots.get(queueId) || makers.get(queueId) !== pusher.makerId) this.#end(queueId, pusher)
    }
    for (const push of pushes) {
      const mine = slots.get(push.queueId)!
      const pusher = this.#pushers.get(push.queueId)
      if (pusher !== undefined) pusher.change(push, mine)
      else if (mine > 0) this.#pushers.set(push.queueId, new Pusher(push, mine, this.#shared))
    }
  }

  #end(queueId: Digits, pusher: Pusher): void {
    pusher.stop()
    this.#pushers.delete(queueId)
    const ended = pusher.ended()
    this.#leaving.add(ended)
    ended.finally(() => this.#leaving.delete(ended))
  }
}

/** The part of a push's requests at one time that this process may have. All parts add up to the whole. */
export function slotsOf(
  { maxConcurrent, queueId }: Pick<Push, 'maxConcurrent' | 'queueId'>,
  { processIndex, processCount }: Pick<PushOptions, 'processIndex' | 'processCount'>
): number {
  const whole = Math.floor(maxConcurrent / processCount)
  // What is left over goes to other processes for each queue.
  const isNext = (processIndex + Number(queueId)) % processCount < maxConcurrent % processCount
  return whole + (isNext ? 1 : 0)
}

function countDeliveries() {
  const deliveries = Object.fromEntries(pushOutcomes.map(outcome => [outcome, 0])) as Record<
    PushOutcome,
    number
  >
  const buckets = new Array<number>(pushBoundsSeconds.length + 1).fill(0)
  let sumSeconds = 0
  return {
    add(outcome: PushOutcome, seconds: number): void {
      deliveries[outcome]++
      sumSeconds += seconds
      const bucket = pushBoundsSeconds.findIndex(bound => seconds <= bound)
      buckets[bucket < 0 ? pushBoundsSeconds.length : bucket]!++
    },
    read: () => ({ deliveries: { ...deliveries }, buckets: [...buckets], sumSeconds })
  }
}
