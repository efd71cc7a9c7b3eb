/** Settles leases: with one receipt it answers one outcome, with a list an outcome for each. */
import { path, type CallOptions } from '../calls.ts'
import { Messages } from './messages.ts'
import type { Ack, Extension, Failure, Outcome } from '../types.ts'

const lists = { ack: 'receipts', fail: 'failures', extend: 'extensions', release: 'receipts' } as const

export class Settling extends Messages {
  /**
   * Says that the work is done. With one receipt, throws `leaseLost` if the message has been leased
   * again. With a list, answers an outcome for each receipt, in the order given.
   *
   * An ack may give a `result`, and in `then` messages to enqueue in the same commit. If a message of
   * a `then` is refused, the whole call is refused, and nothing is acked.
   */
  ack(queue: string, ack: string | Ack, options?: CallOptions): Promise<Outcome>
  ack(queue: string, acks: (string | Ack)[], options?: CallOptions): Promise<Outcome[]>
  ack(
    queue: string,
    acks: string | Ack | (string | Ack)[],
    options?: CallOptions
  ): Promise<Outcome | Outcome[]> {
    if (!Array.isArray(acks) || acks.every(ack => typeof ack === 'string')) {
      return this.#settle(queue, 'ack', acks, options)
    }
    const all = acks.map(ack => (typeof ack === 'string' ? { receipt: ack } : ack))
    return this.#settleMany(queue, 'ack', { acks: all }, options)
  }

  /**
   * Says that the work failed. The message is retried later, or is dead after its last attempt. With
   * one receipt, throws `leaseLost` if the message has been leased again.
   */
  fail(queue: string, failure: Failure, options?: CallOptions): Promise<Outcome>
  fail(queue: string, failures: Failure[], options?: CallOptions): Promise<Outcome[]>
  fail(queue: string, failures: Failure | Failure[], options?: CallOptions): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'fail', failures, options)
  }

  /**
   * Sets the end of a lease to `leaseSeconds` from now. With one extension, throws `leaseLost` or
   * `gone` if the lease cannot be extended: stop working on the message then.
   */
  extend(queue: string, extension: Extension, options?: CallOptions): Promise<Outcome>
  extend(queue: string, extensions: Extension[], options?: CallOptions): Promise<Outcome[]>
  extend(
    queue: string,
    extensions: Extension | Extension[],
    options?: CallOptions
  ): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'extend', extensions, options)
  }

  /** Gives leased messages back, ready at once. The attempt does not count. */
  release(queue: string, receipt: string, options?: CallOptions): Promise<Outcome>
  release(queue: string, receipts: string[], options?: CallOptions): Promise<Outcome[]>
  release(queue: string, receipts: string | string[], options?: CallOptions): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'release', receipts, options)
  }

  async #settle(
    queue: string,
    verb: keyof typeof lists,
    items: unknown,
    options?: CallOptions
  ): Promise<Outcome | Outcome[]> {
    if (!Array.isArray(items)) {
      return await this.call<Outcome>(
        'POST',
        path('queues', queue, verb),
        { body: typeof items === 'string' ? { receipt: items } : items },
        options
      )
    }
    return await this.#settleMany(queue, verb, { [lists[verb]]: items }, options)
  }

  async #settleMany(queue: string, verb: string, body: object, options?: CallOptions): Promise<Outcome[]> {
    return (await this.call<{ outcomes: Outcome[] }>('POST', path('queues', queue, verb), { body }, options))
      .outcomes
  }
}
