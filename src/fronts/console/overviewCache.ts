/**
 * All queues as they were a moment ago: read once for every page that is open, and not at all
 * while nobody looks.
 */
import type { Spark } from '../../core/series.ts'
import type { OverviewRow } from '../../store/verbs/overview.ts'

/** What the overview is read from. */
export interface Sources {
  overview: () => Promise<{ atSeconds: number; rows: OverviewRow[] }>
  oldestReady: (queueIds: number[]) => Promise<Map<number, number>>
  sparks: (queues: string[]) => Promise<Map<string, Spark>>
  onError: (error: unknown) => void
}

export interface QueueRow extends OverviewRow {
  oldestReadySeconds: number | null
  /** null until it has been read twice. */
  enqueuedPerSecond: number | null
  ackedPerSecond: number | null
}

export const sorts = ['name', 'ready', 'delayed', 'leased', 'dead', 'oldest', 'enqueued', 'acked'] as const
export type Sort = (typeof sorts)[number]

export interface View {
  search: string
  sort: Sort
  descending: boolean
  /** From 0. */
  page: number
  limit: number
  within: { names: string[]; prefixes: string[] }
}

const pauseMs = 2000
// Where a read takes long, at most a twentieth of the time is spent on it.
const pausePerRead = 20
const rateSeconds = 10
const oldestMax = 200
// What is written each half minute need not be read more often.
const sparksMs = 30_000
const sparksMax = 100
// A page may ask for anything, and again and again between two reads.
const sortedMax = 100

const valueOf: Record<Exclude<Sort, 'name'>, (row: QueueRow) => number | null> = {
  ready: row => row.ready,
  delayed: row => row.delayed,
  leased: row => row.leased,
  dead: row => row.dead,
  oldest: row => row.oldestReadySeconds,
  enqueued: row => row.enqueuedPerSecond,
  acked: row => row.ackedPerSecond
}

interface Reading {
  atSeconds: number
  totals: Map<number, OverviewRow>
}

export class OverviewCache {
  readonly #sources: Sources
  readonly #watchers = new Set<() => void>()
  readonly #oldest = new Map<number, { atSeconds: number | null; lookedMs: number }>()
  #rows: QueueRow[] = []
  #byName = new Map<string, QueueRow>()
  #shown = new Map<number, string>()
  readonly #sparks = new Map<string, { spark: Spark | undefined; readMs: number }>()
  #sorted = new Map<string, QueueRow[]>()
  #readings: Reading[] = []
  #readMs = -Infinity
  #pauseMs = pauseMs
  #timer: NodeJS.Timeout | undefined
  #reading: Promise<void> | null = null
  #trouble = false

  constructor(sources: Sources) {
    this.#sources = sources
  }

  /** Whether the last read failed: what is shown is older than it should be. */
  get trouble(): boolean {
    return this.#trouble
  }

  /**
   * Calls `onRead` after each read from now on, the first at once unless one is just being shown.
   * Answers with the end of watching.
   */
  watch(onRead: () => void): () => void {
    this.#watchers.add(onRead)
    if (performance.now() < this.#readMs + this.#pauseMs) {
      setImmediate(() => {
        if (this.#watchers.has(onRead)) onRead()
      })
    }
    this.#schedule()
    return () => {
      this.#watchers.delete(onRead)
      if (this.#watchers.size > 0) return
      clearTimeout(this.#timer)
      this.#timer = undefined
    }
  }

  /** Resolves when a read under way has ended. */
  async close(): Promise<void> {
    this.#watchers.clear()
    clearTimeout(this.#timer)
    await this.#reading
  }

  /** One page of the queues within the view's rights, and what there is of all of them. */
  page(view: View): {
    rows: QueueRow[]
    matched: number
    total: number
    sums: Record<'ready' | 'delayed' | 'leased' | 'dead', number> & {
      enqueuedPerSecond: number | null
      ackedPerSecond: number | null
    }
  } {
    const mine = this.#within(view)
    const found = this.#matching(view, mine)
    const rows = found.slice(view.page * view.limit, (view.page + 1) * view.limit)
    for (const { id, queue } of rows) this.#shown.set(id, queue)
    const sum = (value: (row: QueueRow) => number | null) =>
      mine.reduce((sum, row) => sum + (value(row) ?? 0), 0)
    const rate = (value: (row: QueueRow) => number | null) =>
      mine.some(row => value(row) !== null) ? sum(value) : null
    return {
      rows,
      matched: found.length,
      total: mine.length,
      sums: {
        ready: sum(valueOf.ready),
        delayed: sum(valueOf.delayed),
        leased: sum(valueOf.leased),
        dead: sum(valueOf.dead),
        enqueuedPerSecond: rate(valueOf.enqueued),
        ackedPerSecond: rate(valueOf.acked)
      }
    }
  }

  /** One queue; undefined when there is none. */
  row(queue: string): QueueRow | undefined {
    const row = this.#byName.get(queue)
    if (row !== undefined) this.#shown.set(row.id, queue)
    return row
  }

  /** The last hour of a queue that some page shows. */
  spark(queue: string): Spark | undefined {
    return this.#sparks.get(queue)?.spark
  }

  // Most pages ask for the same, so what has been chosen and sorted is kept until the next read.
  #once(key: string, make: () => QueueRow[]): QueueRow[] {
    let rows = this.#sorted.get(key)
    if (rows !== undefined) return rows
    if (this.#sorted.size >= sortedMax) this.#sorted.clear()
    this.#sorted.set(key, (rows = make()))
    return rows
  }

  #within({ within: { names, prefixes } }: View): QueueRow[] {
    if (prefixes.includes('')) return this.#rows
    return this.#once(JSON.stringify([names, prefixes]), () => {
      const exact = new Set(names)
      return this.#rows.filter(
        ({ queue }) => exact.has(queue) || prefixes.some(prefix => queue.startsWith(prefix))
      )
    })
  }

  #matching(view: View, mine: QueueRow[]): QueueRow[] {
    const { search, sort, descending } = view
    return this.#once(JSON.stringify([view.within, search, sort, descending]), () => {
      const word = search.toLowerCase()
      const found = word === '' ? mine : mine.filter(({ queue }) => queue.toLowerCase().includes(word))
      if (sort === 'name') return descending ? found.toReversed() : found
      const value = valueOf[sort]
      const sign = descending ? -1 : 1
      return found.toSorted((a, b) => {
        const [x, y] = [value(a), value(b)]
        // what is not known comes last, either way
        if (x === null || y === null) return Number(x === null) - Number(y === null)
        return sign * (x - y)
      })
    })
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#reading !== null || this.#watchers.size === 0) return
    this.#timer = setTimeout(
      () => {
        this.#timer = undefined
        this.#reading = this.#read().finally(() => {
          this.#reading = null
          this.#schedule()
        })
      },
      Math.max(0, this.#readMs + this.#pauseMs - performance.now())
    )
  }

  async #read(): Promise<void> {
    const beganMs = performance.now()
    try {
      const { atSeconds, rows } = await this.#sources.overview()
      await this.#lookForOldest(rows)
      await this.#readSparks()
      this.#shown.clear()
      this.#take(atSeconds, rows)
      this.#trouble = false
    } catch (error) {
      this.#trouble = true
      this.#sources.onError(error)
    }
    this.#readMs = performance.now()
    this.#pauseMs = Math.max(pauseMs, pausePerRead * (this.#readMs - beganMs))
    for (const onRead of this.#watchers) {
      try {
        onRead()
      } catch (error) {
        this.#sources.onError(error) // one page's, and no reason for the others to be left without
      }
      await new Promise(setImmediate) // others have their turn between two pages
    }
  }

  #take(atSeconds: number, rows: OverviewRow[]): void {
    this.#readings = this.#readings.filter(
      reading => reading.atSeconds >= atSeconds - rateSeconds && reading.atSeconds < atSeconds
    )
    const [first] = this.#readings
    const rate = (row: OverviewRow, total: 'enqueuedTotal' | 'ackedTotal') => {
      const before = first?.totals.get(row.id)
      return before === undefined
        ? null
        : Math.max(0, (row[total] - before[total]) / (atSeconds - first!.atSeconds))
    }
    this.#rows = rows.map(row => {
      const since = row.ready > 0 ? (this.#oldest.get(row.id)?.atSeconds ?? null) : null
      return {
        ...row,
        oldestReadySeconds: since === null ? null : Math.max(0, Math.round(atSeconds - since)),
        enqueuedPerSecond: rate(row, 'enqueuedTotal'),
        ackedPerSecond: rate(row, 'ackedTotal')
      }
    })
    this.#byName = new Map(this.#rows.map(row => [row.queue, row]))
    this.#readings.push({ atSeconds, totals: new Map(rows.map(row => [row.id, row])) })
    this.#sorted.clear()
  }

  // Of the queues that are shown each time, of the others in turn, so that the cost has a bound.
  async #lookForOldest(rows: OverviewRow[]): Promise<void> {
    const ready = rows.filter(row => row.ready > 0)
    const known = new Set(ready.map(({ id }) => id))
    for (const id of this.#oldest.keys()) if (!known.has(id)) this.#oldest.delete(id)
    const lookedMs = ({ id }: OverviewRow) =>
      this.#shown.has(id) ? -Infinity : (this.#oldest.get(id)?.lookedMs ?? 0)
    const chosen = (
      ready.length <= oldestMax
        ? ready
        : ready.toSorted((a, b) => lookedMs(a) - lookedMs(b) || 0).slice(0, oldestMax)
    ).map(({ id }) => id)
    if (chosen.length === 0) return
    const found = await this.#sources.oldestReady(chosen)
    for (const id of chosen) {
      this.#oldest.set(id, { atSeconds: found.get(id) ?? null, lookedMs: performance.now() })
    }
  }

  async #readSparks(): Promise<void> {
    const nowMs = performance.now()
    for (const [queue, { readMs }] of this.#sparks) {
      if (readMs < nowMs - 2 * sparksMs) this.#sparks.delete(queue)
    }
    const due = [...this.#shown.values()]
      .filter(queue => (this.#sparks.get(queue)?.readMs ?? -Infinity) < nowMs - sparksMs)
      .slice(0, sparksMax)
    if (due.length === 0) return
    const found = await this.#sources.sparks(due)
    for (const queue of due) this.#sparks.set(queue, { spark: found.get(queue), readMs: nowMs })
  }
}
