/** Settles leases: with one receipt it answers one outcome, with a list an outcome for each. */
import { path, type CallOptions } from '../calls.ts'
import { Messages } from './messages.ts'
import type { Ack, Extension, Failure, Outcome } from '../types.ts'

const lists = { ack: 'receipts', fail: 'failures', extend: 'extensions', release: 'receipts' } as const

export class Settling extends Messages {
  /**
   * The work is done. With one receipt it throws `leaseLost` when somebody else has the message by
   * now. With a list it answers an outcome for each receipt, in the order given. An ack may say what
   * came of the work, in `result`, and in `then` what to enqueue in the same commit. If a `then` is
   * refused, nothing of the call is acked.
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

  /** The work failed. The message is tried again later, or is dead. */
  fail(queue: string, failure: Failure, options?: CallOptions): Promise<Outcome>
  fail(queue: string, failures: Failure[], options?: CallOptions): Promise<Outcome[]>
  fail(queue: string, failures: Failure | Failure[], options?: CallOptions): Promise<Outcome | Outcome[]> {
    return this.#settle(queue, 'fail', failures, options)
  }

  /**
   * Lets the lease end `leaseSeconds` from now. With one extension it throws `leaseLost` or `gone`
   * when the lease cannot be extended.
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

  /** Gives leased messages back. The attempt does not count. */
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
