/**
 * The overview of all queues, read every two seconds: once for all open pages together, and not at
 * all while no page is open.
 */
import { oneByOne } from '../../core/engine/oneByOne.ts'
import type { OverviewRow } from '../../core/counters.ts'
import type { Spark } from '../../core/series.ts'
import { QueueList, type Page, type QueueRow, type View } from './queueList.ts'

/** Where the overview is read from. */
export interface Sources {
  /**
   * The first queues by name, how many are left out, and the time of the database, in seconds since
   * the epoch.
   */
  overview: () => Promise<{ atSeconds: number; leftOut: number; rows: OverviewRow[] }>
  /** How many seconds the oldest ready message of each queue has been ready. */
  oldestReady: (queueIds: number[]) => Promise<Map<number, number>>
  /** The last hour of each queue. */
  sparks: (queues: string[]) => Promise<Map<string, Spark>>
  onError: (error: unknown) => void
}

const pauseMs = 2000
/** A slow read makes the pause after it longer: reads take at most a twentieth of the time. */
const pausePerRead = 20
/** Rates are measured over at most this time. */
const rateSeconds = 10
/** How many queues are asked for their oldest ready message in one read. */
const oldestMax = 200
/** The last hour of a queue is written every half minute, so it is not read more often. */
const sparksMs = 30_000
/** For how many queues the last hour is read in one read. */
const sparksMax = 100

export class OverviewCache {
  readonly #sources: Sources
  readonly #watchers = new Set<() => void>()
  #list = new QueueList([], 0)
  /** The queues that pages have shown since the last read: names by id. */
  readonly #shown = new Map<number, string>()
  /** By id, when the oldest ready message became ready, in seconds since the epoch. */
  readonly #oldest = new Map<number, { atSeconds: number | null; readMs: number }>()
  readonly #sparks = new Map<string, { spark: Spark | undefined; readMs: number }>()
  /** The reads of the last ten seconds: rates are the difference from the first of them. */
  #recent: { atSeconds: number; rows: Map<number, OverviewRow> }[] = []
  #readMs = -Infinity
  #pauseMs = pauseMs
  #timer: NodeJS.Timeout | undefined
  #reading: Promise<void> | null = null
  #trouble = false

  constructor(sources: Sources) {
    this.#sources = sources
  }

  /** Whether the last read failed, so that the figures are older than they should be. */
  get trouble(): boolean {
    return this.#trouble
  }

  /**
   * Calls `onRead` after each read from now on, and at once if the figures are fresh. Answers with
   * a function that ends this.
   */
  watch(onRead: () => void): () => void {
    this.#watchers.add(onRead)
    if (performance.now() < this.#readMs + this.#pauseMs) {
      oneByOne(null, () => {
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

  /** Stops reading. Resolves when a read under way has ended. */
  async close(): Promise<void> {
    this.#watchers.clear()
    clearTimeout(this.#timer)
    await this.#reading
  }

  /** One page of the queues that the view finds, and the sums of all that its key may browse. */
  page(view: View): Page {
    const page = this.#list.page(view)
    for (const { id, queue } of page.rows) this.#shown.set(id, queue)
    return page
  }

  /** One queue. Answers undefined when there is none. */
  row(queue: string): QueueRow | undefined {
    const row = this.#list.row(queue)
    if (row !== undefined) this.#shown.set(row.id, queue)
    return row
  }

  /** The last hour of a queue, if a page has shown the queue for long enough to have it read. */
  spark(queue: string): Spark | undefined {
    return this.#sparks.get(queue)?.spark
  }

  #schedule(): void {
    if (this.#timer !== undefined || this.#reading !== null || this.#watchers.size === 0) return
    const waitMs = Math.max(0, this.#readMs + this.#pauseMs - performance.now())
    this.#timer = setTimeout(() => {
      this.#timer = undefined
      this.#reading = this.#read().finally(() => {
        this.#reading = null
        this.#schedule()
      })
    }, waitMs)
  }

  async #read(): Promise<void> {
    const beganMs = performance.now()
    try {
      const { atSeconds, leftOut, rows } = await this.#sources.overview()
      await this.#readOldest(atSeconds, rows)
      await this.#readSparks()
      this.#shown.clear()
      this.#take(atSeconds, leftOut, rows)
      this.#trouble = false
    } catch (error) {
      this.#trouble = true
      this.#sources.onError(error)
    }
    this.#readMs = performance.now()
    this.#pauseMs = Math.max(pauseMs, pausePerRead * (this.#readMs - beganMs))
    await this.#tellWatchers()
  }

  async #tellWatchers(): Promise<void> {
    for (const onRead of this.#watchers) {
      try {
        onRead()
      } catch (error) {
        this.#sources.onError(error) // a fault of one page leaves the others theirs
      }
      await new Promise(setImmediate) // other work of the process goes on between two pages
    }
  }

  #take(atSeconds: number, leftOut: number, rows: OverviewRow[]): void {
    this.#recent = this.#recent.filter(
      read => read.atSeconds >= atSeconds - rateSeconds && read.atSeconds < atSeconds
    )
    const [first] = this.#recent
    const rate = (row: OverviewRow, total: 'enqueuedTotal' | 'ackedTotal') => {
      const before = first?.rows.get(row.id)
      if (first === undefined || before === undefined) return null
      return Math.max(0, (row[total] - before[total]) / (atSeconds - first.atSeconds))
    }
    const listed = rows.map(row => {
      const { enqueuedTotal: _enqueued, ackedTotal: _acked, ...counts } = row
      const since = row.ready > 0 ? (this.#oldest.get(row.id)?.atSeconds ?? null) : null
      return {
        ...counts,
        oldestReadySeconds: since === null ? null : Math.max(0, Math.round(atSeconds - since)),
        enqueuedPerSecond: rate(row, 'enqueuedTotal'),
        ackedPerSecond: rate(row, 'ackedTotal')
      }
    })
    this.#list = new QueueList(listed, leftOut)
    this.#recent.push({ atSeconds, rows: new Map(rows.map(row => [row.id, row])) })
  }

  /**
   * Reads the oldest ready message of at most 200 queues: first of those that pages show, then of
   * the others in turn.
   */
  async #readOldest(atSeconds: number, rows: OverviewRow[]): Promise<void> {
    const ready = rows.filter(row => row.ready > 0).map(({ id }) => id)
    const readyIds = new Set(ready)
    for (const id of this.#oldest.keys()) if (!readyIds.has(id)) this.#oldest.delete(id)
    const lastReadMs = (id: number) => (this.#shown.has(id) ? -Infinity : (this.#oldest.get(id)?.readMs ?? 0))
    const chosen =
      ready.length <= oldestMax
        ? ready
        : ready.toSorted((a, b) => lastReadMs(a) - lastReadMs(b) || 0).slice(0, oldestMax)
    if (chosen.length === 0) return
    const found = await this.#sources.oldestReady(chosen)
    for (const id of chosen) {
      const age = found.get(id)
      this.#oldest.set(id, {
        atSeconds: age === undefined ? null : atSeconds - age,
        readMs: performance.now()
      })
    }
  }

  /** Reads the last hour of the queues that pages show. Forgets it when they no longer do. */
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
