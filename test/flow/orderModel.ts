/** The rules of an ordered queue, in a few lines: what a lease may bring, and what a call changes. */

export interface Message {
  id: string
  /** null: it stands alone. */
  line: string | null
  place: number
  state: 'ready' | 'delayed' | 'leased' | 'dead'
  attempt: number
  fence: number
}

export const maxAttempts = 3

export class OrderModel {
  readonly messages = new Map<string, Message>()
  #place = 0

  enqueue(id: string, line: string | null, _priority = 4): void {
    this.messages.set(id, { id, line, place: this.nextPlace(), state: 'ready', attempt: 0, fence: 0 })
  }

  nextPlace(): number {
    return ++this.#place
  }

  remove(ids: string[]): void {
    for (const id of ids) this.messages.delete(id)
  }

  inState(state: Message['state']): Message[] {
    return [...this.messages.values()].filter(message => message.state === state)
  }

  /** The living messages of a line, in its order. */
  #line(line: string): Message[] {
    return [...this.messages.values()]
      .filter(message => message.line === line && message.state !== 'dead')
      .sort((a, b) => a.place - b.place)
  }

  /** What a lease may bring of a line: its first messages, as far as they are ready, if none is out. */
  #open(line: string): Message[] {
    const messages = this.#line(line)
    if (messages.some(({ state }) => state === 'leased')) return []
    const blocked = messages.findIndex(({ state }) => state !== 'ready')
    return blocked < 0 ? messages : messages.slice(0, blocked)
  }

  /** How many messages one lease could bring at most. */
  get leasable(): number {
    const ready = this.inState('ready')
    const lines = new Set(ready.flatMap(({ line }) => line ?? []))
    const alone = ready.filter(({ line }) => line === null).length
    return alone + [...lines].reduce((sum, line) => sum + this.#open(line).length, 0)
  }

  /** Leases these. Answers what is wrong about that, or null. */
  lease(ids: string[]): string | null {
    const open = new Map<string, Message[]>()
    for (const id of ids) {
      const message = this.messages.get(id)
      if (message?.state !== 'ready') return `${id} is not ready`
      if (message.line === null) continue
      if (!open.has(message.line)) open.set(message.line, this.#open(message.line))
      const next = open.get(message.line)!.shift()
      if (next?.id !== id) return `${id} is leased before ${next?.id ?? 'its line is free'}`
    }
    this.take(ids)
    return null
  }

  take(ids: string[]): void {
    for (const id of ids) {
      const message = this.messages.get(id)!
      message.state = 'leased'
      message.attempt++
      message.fence++
    }
  }

  /** What a settling call answers. */
  settle(verb: 'ack' | 'fail' | 'failLater' | 'kill' | 'release', id: string, fence: number): string {
    const message = this.messages.get(id)
    if (message === undefined) return 'gone'
    if (message.fence !== fence) return 'leaseLost'
    const { state } = message
    if (verb === 'ack') {
      this.messages.delete(id)
      return 'acked'
    }
    if (verb === 'release') {
      if (state === 'leased') Object.assign(message, { state: 'ready', attempt: message.attempt - 1 })
      return state === 'dead' ? 'dead' : 'released'
    }
    if (state === 'dead' || verb === 'kill' || message.attempt >= maxAttempts) message.state = 'dead'
    else message.state = verb === 'fail' ? 'ready' : 'delayed'
    return message.state === 'dead' ? 'dead' : 'retrying'
  }

  /** The leases of these end. */
  lapse(ids: string[]): void {
    for (const id of ids) {
      const message = this.messages.get(id)!
      message.state = message.attempt >= maxAttempts ? 'dead' : 'ready'
    }
  }

  /** Dead messages go to the tail, and keep their order. */
  redrive(inOrder = (a: Message, b: Message) => a.place - b.place): number {
    const dead = this.inState('dead').sort(inOrder)
    for (const message of dead) {
      message.fence++
      Object.assign(message, { state: 'ready', attempt: 0, place: this.nextPlace() })
    }
    return dead.length
  }

  retry(): number {
    const delayed = this.inState('delayed')
    for (const message of delayed) message.state = 'ready'
    return delayed.length
  }
}
