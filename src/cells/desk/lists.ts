/** Lists over all cells: each cell gives its page, and the first names of all are the page. */
import type { FastifyRequest } from 'fastify'
import { states } from '../../core/counters.ts'
import { pageRowsDefault } from '../../core/limits.ts'
import type { QueueReport } from '../../core/queue.ts'
import { cursorTo } from '../../fronts/rest/cursors.ts'
import { entriesIn, StrangeAnswer, type CellAnswer } from '../answer.ts'
import type { CellCalls } from '../calls.ts'
import { requestOf } from './forward.ts'

interface Page<Entry> {
  entries: Entry[]
  /** null: this is the last page. */
  cursor: string | null
}

interface ListShape<Entry> {
  /** The member of a page that holds the entries. */
  list: string
  /** The member of an entry that it is known by. */
  name: keyof Entry & string
  /** Whether an entry has what `join` reads. */
  canJoin?: (entry: Entry) => boolean
  /** Joins the entries that two cells have of one name. Without it, the first one counts. */
  join?: (entries: Entry[]) => Entry
}

export const queueList: ListShape<QueueReport> = {
  list: 'queues',
  name: 'queue',
  canJoin: ({ createdAt, counts }) =>
    typeof createdAt === 'string' && typeof counts === 'object' && counts !== null,
  join: joinReports
}
export const topicList: ListShape<{ topic: string }> = { list: 'topics', name: 'topic' }
export const scheduleList: ListShape<{ name: string }> = { list: 'schedules', name: 'name' }

/** One page of a list over all cells. Where a cell refuses, its refusal is the answer. */
export async function listAll<Entry>(
  calls: CellCalls,
  request: FastifyRequest,
  shape: ListShape<Entry>
): Promise<CellAnswer> {
  const pageOf = (answer: CellAnswer) => pageIn(answer, shape)
  const answers = await calls.callAll({ ...requestOf(request), check: pageOf })
  const refused = answers.find(({ status }) => status !== 200)
  if (refused !== undefined) return refused
  const { limit = pageRowsDefault } = request.query as { limit?: string }
  const { entries, cursor } = joinPages(answers.map(pageOf), shape, Number(limit))
  return { ...answers[0]!, text: JSON.stringify({ [shape.list]: entries, cursor }) }
}

function pageIn<Entry>(answer: CellAnswer, { list, name, canJoin }: ListShape<Entry>): Page<Entry> {
  const { cursor } = answer.json as { cursor?: unknown }
  if (cursor !== null && typeof cursor !== 'string') throw new StrangeAnswer('a list without a cursor')
  const entries = entriesIn<Entry>(answer, list, [name])
  if (canJoin !== undefined && !entries.every(canJoin)) throw new StrangeAnswer(`no list of ${list}`)
  return { entries, cursor }
}

/** Joins the pages that cells have given for one query, whose limit was `limit`. */
function joinPages<Entry>(
  pages: Page<Entry>[],
  { name: nameMember, join }: ListShape<Entry>,
  limit: number
): Page<Entry> {
  // Beyond the end of a page its cell may have more, so the joined page ends there.
  const ends = pages.flatMap(({ cursor }) =>
    cursor === null ? [] : [Buffer.from(cursor, 'base64url').toString()]
  )
  const end = ends.toSorted()[0]
  const byName = Map.groupBy(
    pages.flatMap(({ entries }) => entries),
    entry => entry[nameMember] as string
  )
  const names = [...byName.keys()].toSorted().filter(name => end === undefined || name <= end)
  const shown = names.slice(0, limit)
  const isLast = names.length === shown.length && end === undefined
  const entries = shown.map(name => {
    const found = byName.get(name)!
    return found.length > 1 && join !== undefined ? join(found) : found[0]!
  })
  return { entries, cursor: isLast ? null : cursorTo(shown.at(-1) ?? end!) }
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
