/** Lists over all cells: each cell gives its page, and the first names of all are the page. */
import type { QueueReport } from '../../core/queue.ts'
import { states } from '../../core/counters.ts'
import { pageRowsDefault } from '../../core/limits.ts'
import { cursorTo } from '../../fronts/rest/common.ts'

/** A page as a cell gives it: its entries under the name of the list, and a cursor. */
type Page = { cursor: string | null } & Record<string, Entry[]>
type Entry = any

export interface ListShape {
  /** The member that holds the entries. */
  list: string
  /** The member of an entry that is its name. */
  name: string
  /** Joins the entries that two cells have of one name. */
  join?: (entries: Entry[]) => Entry
}

export const queueList: ListShape = { list: 'queues', name: 'queue', join: joinReports }
export const topicList: ListShape = { list: 'topics', name: 'topic' }
export const scheduleList: ListShape = { list: 'schedules', name: 'name' }

/** Joins the pages that cells have given for one query. `limit` is what the query said. */
export function joinPages(pages: Page[], { list, name, join }: ListShape, limit = pageRowsDefault): Page {
  const nameOf = (entry: Entry) => entry[name] as string
  // Beyond the end of a page its cell may have more, so the joined page ends there.
  const ends = pages.flatMap(({ cursor }) =>
    cursor === null ? [] : [Buffer.from(cursor, 'base64url').toString()]
  )
  const end = ends.toSorted()[0]
  const byName = new Map<string, Entry[]>()
  for (const entry of pages.flatMap(page => page[list]!)) {
    byName.set(nameOf(entry), [...(byName.get(nameOf(entry)) ?? []), entry])
  }
  const names = [...byName.keys()].toSorted().filter(each => end === undefined || each <= end)
  const shown = names.slice(0, limit)
  const more = names.length > shown.length || end !== undefined
  const entries = shown.map(each => {
    const found = byName.get(each)!
    return found.length > 1 && join !== undefined ? join(found) : found[0]!
  })
  return { [list]: entries, cursor: more ? cursorTo(shown.at(-1) ?? end!) : null } as Page
}

/** A queue that moves is in two cells. The older one has its history. */
function joinReports(reports: QueueReport[]): QueueReport {
  const [older] = reports.toSorted((a, b) => a.createdAt.localeCompare(b.createdAt))
  const counts = Object.fromEntries(
    states.map(state => [state, reports.reduce((sum, report) => sum + report.counts[state], 0)])
  ) as QueueReport['counts']
  const ages = reports.flatMap(({ oldestReadySeconds: age }) => (age === null ? [] : [age]))
  return { ...older!, counts, oldestReadySeconds: ages.length === 0 ? null : Math.max(...ages) }
}
