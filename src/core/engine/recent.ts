/** What the database says of names, as it was at most a second ago. */
import type { Caller } from '../caller.ts'
import type { Turns } from './turns.ts'

const ageMsMax = 1000

interface RecentOptions<Value> {
  turns: Turns
  /** Names remembered. */
  namesMax: number
  /** Looks up a name that is in use, or any other. null: there is nothing of this name. */
  lookUp: (name: string, inUse: boolean) => Promise<Value | null>
}

/**
 * Looks up each name at most once a second. Statements that need what holds now read it themselves.
 * What does not exist is not remembered.
 */
export class Recent<Value> {
  readonly #options: RecentOptions<Value>
  /** Of the names in use. undefined: forgotten. */
  readonly #values = new Map<string, { value: Value | undefined; untilMs: number }>()
  readonly #finding = new Map<string, Promise<Value | null>>()

  constructor(options: RecentOptions<Value>) {
    this.#options = options
  }

  /** The value, if it was looked up in the last second. */
  fresh(name: string): Value | undefined {
    const cached = this.#values.get(name)
    return cached !== undefined && cached.untilMs > performance.now() ? cached.value : undefined
  }

  /** The value as it was last seen, however long ago. */
  remembered(name: string): Value | undefined {
    return this.#values.get(name)?.value
  }

  /**
   * Forgets what was changed or deleted, and a look-up that began before that. The name stays in use:
   * otherwise all who need it would wait for the turn of whoever asks first.
   */
  forget(name: string): void {
    if (this.#values.has(name)) this.#values.set(name, { value: undefined, untilMs: 0 })
    this.#finding.delete(name)
  }

  /**
   * Looks it up. Callers share a look-up. A busy name has hundreds of callers when its second ends.
   * Acks may be among them, so the look-up of a name in use goes first. Other names do not: anyone
   * can make them up, so their callers take turns.
   */
  find(caller: Caller, name: string): Promise<Value | null> {
    const underway = this.#finding.get(name)
    if (underway !== undefined) return underway
    const { turns, namesMax, lookUp } = this.#options
    const inUse = this.#values.has(name)
    const found = (inUse ? lookUp(name, true) : turns.run(caller, () => lookUp(name, false)))
      .then(value => {
        if (this.#finding.get(name) !== found) return value
        if (value === null) this.#values.delete(name)
        else {
          if (this.#values.size >= namesMax) this.#values.clear()
          this.#values.set(name, { value, untilMs: performance.now() + ageMsMax })
        }
        return value
      })
      .finally(() => {
        if (this.#finding.get(name) === found) this.#finding.delete(name)
      })
    this.#finding.set(name, found)
    return found
  }
}
