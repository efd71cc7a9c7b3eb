/**
 * The rules of a queue, in a few lines. They say what a lease may bring, what a call changes, who holds
 * a unique key, and where the dead go.
 */

/** A unique key as an enqueue gives it. */
export interface UniqueKey {
  key: string
  until: 'leased' | 'settled'
  onConflict: 'keep' | 'replace'
}

/** A message to enqueue. */
export interface Entry {
  group: string | null
  priority?: number
  unique?: UniqueKey | undefined
}

export interface Message {
  id: string
  group: string | null
  /** null: it stands alone. */
  line: string | null
  place: number
  priority: number
  state: 'ready' | 'delayed' | 'leased' | 'dead'
  attempt: number
  fence: number
  /** The key that it holds. */
  unique: UniqueKey | undefined
  /** Where it died. null: it did not come by a death. */
  home: OrderModel | null
}

export interface Rules {
  lineOf: (group: string | null) => string | null
  maxLeased: number | null
  maxLeasedPerGroup: number | null
  /** Its dead-letter queue. */
  deadTo: OrderModel | null
}

/** What an enqueue does with an entry. */
export type Fate = 'stored' | 'duplicate' | 'replaced'

export const maxAttempts = 3

export class OrderModel {
  readonly messages = new Map<string, Message>()
  readonly rules: Rules
  #place = 0

  constructor(rules: Rules) {
    this.rules = rules
  }

  /** What becomes of each entry of a list, and of which message. null: the list is refused. */
  fatesOf(entries: Entry[], without?: string): [Fate, Message | Entry][] | null {
    const held = new Map<string, Message | Entry>()
    for (const message of this.messages.values()) {
      if (message.unique !== undefined && message.id !== without) held.set(message.unique.key, message)
    }
    const fates: [Fate, Message | Entry][] = []
    for (const entry of entries) {
      const holder = entry.unique && held.get(entry.unique.key)
      const isLeased = holder !== undefined && 'state' in holder && holder.state === 'leased'
      if (holder === undefined) {
        if (entry.unique) held.set(entry.unique.key, entry)
        fates.push(['stored', entry])
      } else if (entry.unique!.onConflict === 'keep' || isLeased) {
        fates.push(['duplicate', holder])
      } else {
        if (this.#keepsGroups && holder.group !== entry.group) return null
        fates.push(['replaced', holder])
      }
    }
    return fates
  }

  get #keepsGroups(): boolean {
    return this.rules.lineOf('a') !== null
  }

  /** Stores a new message. */
  enqueue(id: string, { group, priority = 4, unique }: Entry): void {
    this.messages.set(id, {
      id,
      group,
      line: this.rules.lineOf(group),
      place: this.nextPlace(),
      priority,
      state: 'ready',
      attempt: 0,
      fence: 0,
      unique,
      home: null
    })
  }

  /** Gives a message that is not leased the content and the options of another. */
  replace(id: string, { group, priority = 4, unique }: Entry): void {
    const message = this.messages.get(id)!
    Object.assign(message, { group, priority, unique, state: 'ready', fence: message.fence + 1 })
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
    const open = blocked < 0 ? messages : messages.slice(0, blocked)
    return open.slice(0, this.rules.maxLeasedPerGroup ?? Infinity)
  }

  /** How many messages one lease could bring at most. */
  get leasable(): number {
    return Math.max(
      0,
      Math.min(this.inLines, (this.rules.maxLeased ?? Infinity) - this.inState('leased').length)
    )
  }

  /** The same, without a limit of the queue. */
  protected get inLines(): number {
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
      if (message.unique?.until === 'leased') message.unique = undefined
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
    if (state === 'dead') return 'dead'
    if (verb === 'kill' || message.attempt >= maxAttempts) this.#die(message)
    else message.state = verb === 'fail' ? 'ready' : 'delayed'
    return message.state === 'dead' ? 'dead' : 'retrying'
  }

  #die(message: Message): void {
    Object.assign(message, { state: 'dead', unique: undefined })
    const { deadTo } = this.rules
    if (deadTo === null) return
    this.messages.delete(message.id)
    deadTo.arrive(message, message.home ?? this)
  }

  /** Takes a message that comes from another queue. It goes to the tail. */
  arrive({ id, group, priority, fence }: Message, home: OrderModel | null): void {
    this.enqueue(id, { group, priority })
    Object.assign(this.messages.get(id)!, { fence: fence + 1, home })
  }

  /** The leases of these end. */
  lapse(ids: string[]): void {
    for (const id of ids) {
      const message = this.messages.get(id)!
      if (message.attempt >= maxAttempts) this.#die(message)
      else message.state = 'ready'
    }
  }

  /** Dead messages go to the tail, and those of a dead-letter queue home. All keep their order. */
  redrive(inOrder = (a: Message, b: Message) => a.place - b.place): number {
    const away = [...this.messages.values()].filter(({ home, state }) => home !== null && state !== 'leased')
    for (const message of away.sort((a, b) => Number(a.id) - Number(b.id))) {
      this.messages.delete(message.id)
      message.home!.arrive(message, null)
    }
    const dead = this.inState('dead').sort(inOrder)
    for (const message of dead) {
      message.fence++
      Object.assign(message, { state: 'ready', attempt: 0, place: this.nextPlace() })
    }
    return away.length + dead.length
  }

  retry(): number {
    const delayed = this.inState('delayed')
    for (const message of delayed) message.state = 'ready'
    return delayed.length
  }
}
