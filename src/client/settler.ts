/** Tells the service what came of a worker's messages. Repeats each call until it is answered. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { CallOptions } from './calls.ts'
import type { Client } from './client.ts'
import { HoldfastError, pauseAfter } from './error.ts'
import type { Settled } from './handler.ts'
import { Outbox, type Entry } from './outbox.ts'
import type { Ack, Failure, Outcome } from './types.ts'

export type Result = Settled['outcome']

/** An ack waits this long for the next lease to take it along. */
const ackDelayMs = 20

/** What settling answers is what became of the message. `unsettled`: there was no answer until the end. */
export class Settler {
  readonly #client: Client
  readonly #queue: string
  readonly #report: (error: unknown) => void
  readonly #givingUp = new AbortController()
  readonly #acks = new Outbox<string, Result>(
    receipts => this.#send(receipts, options => this.#client.ack(this.#queue, receipts, options)),
    ackDelayMs
  )
  readonly #failures = new Outbox<Failure, Result>(
    failures => this.#send(failures, options => this.#client.fail(this.#queue, failures, options)),
    0
  )
  readonly #releases = new Outbox<string, Result>(
    receipts => this.#send(receipts, options => this.#client.release(this.#queue, receipts, options)),
    0
  )

  constructor(client: Client, queue: string, report: (error: unknown) => void) {
    this.#client = client
    this.#queue = queue
    this.#report = report
  }

  /** `hurry`: no lease has to take the ack along, because another message waits for its outcome. */
  ack(receipt: string, hurry: boolean): Promise<Result> {
    const acked = this.#acks.add(receipt)
    if (hurry) this.#acks.flush()
    return acked
  }

  /** Acks with what a handler returned, in a call of its own. Throws what refuses it for good. */
  async complete(ack: Ack): Promise<Result> {
    const [result] = await this.#repeat([ack], options => this.#client.ack(this.#queue, [ack], options))
    return result!
  }

  fail(failure: Failure): Promise<Result> {
    return this.#failures.add(failure)
  }

  release(receipt: string): Promise<Result> {
    return this.#releases.add(receipt)
  }

  /** For a lease that acks in the same call, and resolves each entry. */
  takeAcks(): Entry<string, Result>[] {
    return this.#acks.take()
  }

  /** For a lease that got no answer. */
  putBackAcks(acks: Entry<string, Result>[]): void {
    this.#acks.putBack(acks)
  }

  /** For a lease that was refused. */
  sendAcks(acks: Entry<string, Result>[]): void {
    this.#acks.sendNow(acks)
  }

  /** Repeats nothing from now on: what has no answer stays unsettled. */
  giveUp(): void {
    this.#givingUp.abort(new Error('The worker has stopped.'))
  }

  /** Aborts when the settler gives up. */
  get signal(): AbortSignal {
    return this.#givingUp.signal
  }

  async #send(items: unknown[], call: (options: CallOptions) => Promise<Outcome[]>): Promise<Result[]> {
    return await this.#repeat(items, call).catch(error => {
      this.#report(error)
      return items.map(() => 'unsettled')
    })
  }

  /** Repeats the call until it is answered. Throws what refuses it for good. */
  async #repeat(items: unknown[], call: (options: CallOptions) => Promise<Outcome[]>): Promise<Result[]> {
    const { signal } = this.#givingUp
    for (let tries = 1; ; tries++) {
      try {
        return (await call({ signal, retrySeconds: 0 })).map(({ outcome }) => outcome)
      } catch (error) {
        if (isQueueGone(error)) return items.map(() => 'gone')
        if (!signal.aborted && !(error instanceof HoldfastError && error.passes)) throw error
        this.#report(error)
        if (signal.aborted) return items.map(() => 'unsettled')
        await sleep(pauseAfter(tries, error), undefined, { signal }).catch(() => {})
      }
    }
  }
}

/** A refusal that points into the request is about the queue of a next message. */
function isQueueGone(error: unknown): boolean {
  return error instanceof HoldfastError && error.code === 'queueNotFound' && error.errors.length === 0
}
