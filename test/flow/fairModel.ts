/** The rules of groups that take turns, in a few lines: which messages a lease brings. */
import { OrderModel, type Entry, type Message } from './orderModel.ts'

export class FairModel extends OrderModel {
  /** The rank of each message in its line. */
  readonly #ranks = new Map<string, number>()
  /** For each line that waits for its turn: the lines that have been served meanwhile. */
  readonly #servedBefore = new Map<string, Set<string>>()

  override enqueue(id: string, entry: Entry): void {
    super.enqueue(id, entry)
    this.#ranks.set(id, (entry.priority ?? 4) * 2)
  }

  protected override get inLines(): number {
    return this.#waitingLines().reduce(
      (sum, line) => sum + Math.min(this.#ready(line).length, this.#roomOf(line)),
      0
    )
  }

  /** How many more of a line may be leased. */
  #roomOf(line: string): number {
    const leased = this.inState('leased').filter(message => message.line === line).length
    return (this.rules.maxLeasedPerGroup ?? Infinity) - leased
  }

  /** The ready messages of a line: by rank, and then as they were enqueued or came back. */
  #ready(line: string): Message[] {
    const rank = ({ id }: Message) => this.#ranks.get(id)!
    return this.inState('ready')
      .filter(message => message.line === line)
      .sort((a, b) => rank(b) - rank(a) || a.place - b.place)
  }

  #waitingLines(): string[] {
    return [...new Set(this.inState('ready').map(({ line }) => line!))].filter(line => this.#roomOf(line) > 0)
  }

  override lease(ids: string[]): string | null {
    for (const line of this.#waitingLines()) {
      if (!this.#servedBefore.has(line)) this.#servedBefore.set(line, new Set())
    }
    for (const id of ids) {
      const line = this.messages.get(id)!.line!
      const [first] = this.#ready(line)
      if (first?.id !== id) return `${id} is leased before ${first?.id ?? 'it is ready'}`
      if (this.#roomOf(line) <= 0) return `${id} is leased beyond the limit of its group`
      this.take([id])
      for (const other of this.#waitingLines()) {
        const served = this.#servedBefore.get(other)!
        if (other !== line && served.has(line)) return `${line} is served twice while ${other} waits`
        served.add(line)
      }
      this.#servedBefore.set(line, new Set())
    }
    return null
  }

  /** Makes the change. A line that loses its first message, or has had none, waits anew. */
  #changing(ids: string[], change: () => void): void {
    const lines = new Set(ids.flatMap(id => this.messages.get(id)?.line ?? []))
    const first = new Map([...lines].map(line => [line, this.#ready(line)[0]?.id]))
    change()
    for (const line of lines) {
      const head = first.get(line)
      const stays = head !== undefined && this.messages.get(head)?.state === 'ready'
      if (!stays) this.#servedBefore.delete(line)
    }
  }

  override settle(verb: Parameters<OrderModel['settle']>[0], id: string, fence: number): string {
    const before = this.messages.get(id)
    const state = before?.state
    const wasFirst = before !== undefined && this.#ready(before.line!)[0]?.id === id
    let outcome = ''
    this.#changing([id], () => {
      outcome = super.settle(verb, id, fence)
      if (outcome === 'retrying' || (outcome === 'released' && state === 'leased')) this.#comeBack(id)
    })
    // A late fail takes away the message whose turn it was.
    if (wasFirst && outcome === 'retrying') this.#servedBefore.delete(before.line!)
    return outcome
  }

  #comeBack(id: string): void {
    this.#ranks.set(id, this.#ranks.get(id)! | 1)
    this.messages.get(id)!.place = this.nextPlace()
  }

  override replace(id: string, entry: Entry): void {
    this.#changing([id], () => {
      super.replace(id, entry)
      this.#ranks.set(id, ((entry.priority ?? 4) * 2) | (this.#ranks.get(id)! & 1))
    })
  }

  override remove(ids: string[]): void {
    this.#changing(ids, () => super.remove(ids))
  }

  override lapse(ids: string[]): void {
    this.#changing(ids, () => {
      super.lapse(ids)
      // Their leases end at one time, and then the sweeper goes by their ids.
      for (const id of ids.toSorted((a, b) => Number(a) - Number(b))) {
        if (this.messages.has(id)) this.#comeBack(id)
      }
    })
  }

  override redrive(): number {
    const dead = this.inState('dead').map(({ id }) => id)
    for (const id of dead) this.#ranks.set(id, this.#ranks.get(id)! & ~1)
    let count = 0
    this.#changing(dead, () => {
      count = super.redrive((a, b) => Number(a.id) - Number(b.id))
    })
    return count
  }

  override retry(): number {
    const delayed = this.inState('delayed').sort((a, b) => a.place - b.place)
    let count = 0
    this.#changing(
      delayed.map(({ id }) => id),
      () => {
        count = super.retry()
        for (const message of delayed) message.place = this.nextPlace()
      }
    )
    return count
  }
}
