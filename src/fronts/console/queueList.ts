/** All queues at one moment: searched, sorted and cut into pages. */
import { openStates, type OpenState, type StateCounts } from '../../core/counters.ts'
import type { NameScope } from '../../core/queue.ts'

/** A queue with what has been read of it. */
export interface QueueRow extends StateCounts {
  id: number
  queue: string
  paused: boolean
  /** null when no message is ready, or when its age has not been read yet. */
  oldestReadySeconds: number | null
  /** null until the counts have been read twice. */
  enqueuedPerSecond: number | null
  ackedPerSecond: number | null
}

export const sorts = ['name', ...openStates, 'oldest', 'enqueued', 'acked'] as const
type Sort = (typeof sorts)[number]

/** What a page shows. */
export interface View {
  search: string
  sort: Sort
  descending: boolean
  /** From 0. */
  page: number
  limit: number
  /** The queues that the key may browse. */
  within: NameScope
}

export interface Page {
  rows: QueueRow[]
  /** How many queues the search finds, on all pages. */
  matched: number
  /** How many queues the key may browse. */
  total: number
  /**
   * How many queues are beyond the bound of the list. null: some, but the key may not browse all
   * queues, and nobody knows how many of these are its own.
   */
  leftOut: number | null
  /** Over all queues that the key may browse. */
  sums: Record<OpenState, number> & Record<'enqueuedPerSecond' | 'ackedPerSecond', number | null>
}

/** How many selections are remembered: a page may ask for many between two reads. */
const selectionsMax = 100

type Value = (row: QueueRow) => number | null

const valueOf: Record<Exclude<Sort, 'name'>, Value> = {
  ...byState(state => row => row[state]),
  oldest: row => row.oldestReadySeconds,
  enqueued: row => row.enqueuedPerSecond,
  acked: row => row.ackedPerSecond
}

export class QueueList {
  readonly #rows: QueueRow[]
  readonly #byName: Map<string, QueueRow>
  readonly #leftOut: number
  readonly #selections = new Map<string, QueueRow[]>()

  /** `rows` are in the order of their names. Beyond them there are `leftOut` queues. */
  constructor(rows: QueueRow[], leftOut: number) {
    this.#rows = rows
    this.#leftOut = leftOut
    this.#byName = new Map(rows.map(row => [row.queue, row]))
  }

  /** One queue. Answers undefined when there is none. */
  row(queue: string): QueueRow | undefined {
    return this.#byName.get(queue)
  }

  /** One page of the queues that the view finds, and the sums of all that its key may browse. */
  page(view: View): Page {
    const allowed = this.#allowed(view.within)
    const found = this.#found(view, allowed)
    return {
      rows: found.slice(view.page * view.limit, (view.page + 1) * view.limit),
      matched: found.length,
      total: allowed.length,
      leftOut: this.#leftOut === 0 || allowed === this.#rows ? this.#leftOut : null,
      sums: {
        ...byState(state => sum(allowed, valueOf[state])),
        enqueuedPerSecond: sumOfKnown(allowed, valueOf.enqueued),
        ackedPerSecond: sumOfKnown(allowed, valueOf.acked)
      }
    }
  }

  #allowed(within: NameScope): QueueRow[] {
    const { names, prefixes } = within
    if (prefixes.includes('')) return this.#rows
    return this.#remembered(within, () => {
      const exact = new Set(names)
      return this.#rows.filter(
        ({ queue }) => exact.has(queue) || prefixes.some(prefix => queue.startsWith(prefix))
      )
    })
  }

  #found({ within, search, sort, descending }: View, allowed: QueueRow[]): QueueRow[] {
    return this.#remembered([within, search, sort, descending], () => {
      const word = search.toLowerCase()
      const found = word === '' ? allowed : allowed.filter(({ queue }) => queue.toLowerCase().includes(word))
      if (sort === 'name') return descending ? found.toReversed() : found
      return sorted(found, valueOf[sort], descending)
    })
  }

  // Most pages ask for the same, so each selection is made once.
  #remembered(key: object, select: () => QueueRow[]): QueueRow[] {
    const text = JSON.stringify(key)
    const remembered = this.#selections.get(text)
    if (remembered !== undefined) return remembered
    const rows = select()
    if (this.#selections.size >= selectionsMax) this.#selections.clear()
    this.#selections.set(text, rows)
    return rows
  }
}

/** What `make` makes of each open state. */
function byState<T>(make: (state: OpenState) => T): Record<OpenState, T> {
  return Object.fromEntries(openStates.map(state => [state, make(state)])) as Record<OpenState, T>
}

/** Rows whose value is not known come last, in both directions. */
function sorted(rows: QueueRow[], value: Value, descending: boolean): QueueRow[] {
  const sign = descending ? -1 : 1
  return rows.toSorted((a, b) => {
    const [x, y] = [value(a), value(b)]
    if (x === null || y === null) return Number(x === null) - Number(y === null)
    return sign * (x - y)
  })
}

function sum(rows: QueueRow[], value: Value): number {
  return rows.reduce((total, row) => total + (value(row) ?? 0), 0)
}

/** null when not one of the values is known. */
function sumOfKnown(rows: QueueRow[], value: Value): number | null {
  return rows.some(row => value(row) !== null) ? sum(rows, value) : null
}
