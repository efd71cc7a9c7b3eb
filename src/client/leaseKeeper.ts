/** Extends the leases of messages that handlers work on, and tells handlers whose lease is lost. */
import type { Client } from './client.ts'
import type { LeasedMessage, Outcome } from './types.ts'

/** A message in the hands of a handler, or one that waits for its turn. */
export interface HeldMessage {
  message: LeasedMessage
  /** Aborts the handler's signal. */
  control: AbortController
  /** When the service last confirmed the lease: it lasts for leaseSeconds from here. */
  heldSinceMs: number
  /** Why the handler was told to stop, if it was. */
  end: 'leaseLost' | 'gone' | 'unconfirmed' | 'stopped' | null
  /** Goes on without the handler. */
  abandon: () => void
  /** Rejects when the worker goes on without the handler. */
  abandoned: Promise<void>
}

/** Tells the handler to stop. */
export function interrupt(held: HeldMessage, end: NonNullable<HeldMessage['end']>, why: string): void {
  if (held.end !== null) return
  held.end = end
  held.control.abort(new Error(why))
}

/**
 * The keeper checks this often in a lease which leases have used up a third. At the last check it
 * gives up those that it could not extend.
 */
const checksPerLease = 6

interface LeaseKeeperOptions {
  client: Client
  queue: string
  leaseSeconds: number
  /** Ends the calls under way. */
  signal: AbortSignal
  report: (error: unknown) => void
}

/** Between `start` and `stop` it keeps the leases of the messages that were added. */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions
  readonly #held = new Map<string, HeldMessage>()
  readonly #leaseMs: number
  #timer: NodeJS.Timeout | undefined

  constructor(options: LeaseKeeperOptions) {
    this.#options = options
    this.#leaseMs = options.leaseSeconds * 1000
  }

  start(): void {
    this.#timer = setInterval(() => this.extend(), this.#leaseMs / checksPerLease)
  }

  stop(): void {
    clearInterval(this.#timer)
  }

  /** Keeps the lease of a message from now on. */
  add(held: HeldMessage): void {
    this.#held.set(held.message.receipt, held)
  }

  remove({ message }: HeldMessage): void {
    this.#held.delete(message.receipt)
  }

  held(): Iterable<HeldMessage> {
    return this.#held.values()
  }

  /** Extends the leases that have used up a third of their time. Never throws. */
  async extend(): Promise<void> {
    const { client, queue, leaseSeconds, signal, report } = this.#options
    const sentMs = performance.now()
    const due = [...this.#held.values()].filter(
      ({ end, heldSinceMs }) => end === null && sentMs - heldSinceMs >= this.#leaseMs / 3
    )
    if (due.length === 0) return
    try {
      const outcomes = await client.extend(
        queue,
        due.map(({ message: { receipt } }) => ({ receipt, leaseSeconds })),
        { signal, timeoutSeconds: leaseSeconds / checksPerLease, retrySeconds: 0 }
      )
      outcomes.forEach(({ outcome }, index) => apply(due[index]!, outcome, sentMs))
    } catch (error) {
      report(error)
      this.#giveUp(due)
    }
  }

  #giveUp(due: HeldMessage[]): void {
    for (const held of due) {
      if (performance.now() - held.heldSinceMs >= this.#leaseMs * (1 - 1 / checksPerLease)) {
        interrupt(
          held,
          'unconfirmed',
          'The lease runs out: the service did not answer when asked to extend it.'
        )
      }
    }
  }
}

function apply(held: HeldMessage, outcome: Outcome['outcome'], sentMs: number): void {
  if (outcome === 'extended') held.heldSinceMs = sentMs
  else {
    interrupt(
      held,
      outcome === 'gone' ? 'gone' : 'leaseLost',
      'The lease has been lost: the message is gone, or somebody else has it.'
    )
  }
}
