/** The console's list of queues over all cells, from the streams of the cells. */
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { openStates } from '../../core/counters.ts'
import { invalidRequest } from '../../core/errors.ts'
import { consoleRowsDefault, consoleRowsMax } from '../../core/limits.ts'
import { everyQueue } from '../../core/queue.ts'
import { QueueList, type Page, type QueueRow, type View } from '../../fronts/console/queueList.ts'
import { textOf, type CellCalls } from '../calls.ts'
import { requestOf, sendAnswer } from './forward.ts'

/** The last hours of queues, by name. They are passed on as they are. */
type Sparks = Record<string, unknown>
/** What the stream of a cell tells. */
type Event = { trouble: true } | { sparks: Sparks } | Page

/** The stream of one page of a cell, and what it has said last. */
interface Source {
  response: Response
  /** From 0. Every page of a cell says the same of the whole cell. */
  page: number
  told: Page | null
  sparks: Sparks
}

/** A page of all cells needs every row before it, from each of them. */
const pagesMax = 10
/** Of one event of a cell. A page of rows, or their last hours, has some 100 kB. */
const eventCharsMax = 4_194_304
const rates = ['enqueuedPerSecond', 'ackedPerSecond'] as const

/**
 * Answers with a stream of events. It ends when the stream of a cell ends, and the console then asks
 * again. A cell that does not answer is left out, and `leftOut` says so.
 */
export async function sendLive(
  calls: CellCalls,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const view = viewOf(request.query as Record<string, string>)
  const ending = new AbortController()
  const { sources, missing } = await openSources(calls, request, view, ending.signal)
  const refused = sources.find(({ response }) => response.status !== 200)?.response
  if (refused !== undefined) {
    const { status, headers } = refused
    const text = await textOf(refused, request.countAnswer)
    ending.abort()
    return sendAnswer(reply, { status, headers, text })
  }
  if (sources.length === 0) throw missing
  const stream = joined(sources, view, missing === null, ending)
  request.raw.socket.once('close', () => stream.destroy())
  return reply
    .headers({ 'cache-control': 'no-store', connection: 'close', 'x-accel-buffering': 'no' })
    .type('text/event-stream')
    .send(stream)
}

const viewOf = ({ sort = 'name', descending, page = '0', limit }: Record<string, string>): View => ({
  search: '',
  sort: sort as View['sort'],
  descending: descending === 'true',
  page: Number(page),
  limit: Number(limit ?? consoleRowsDefault),
  within: everyQueue
})

/** `missing` is why a cell does not answer; null when all do. */
async function openSources(
  calls: CellCalls,
  request: FastifyRequest,
  view: View,
  signal: AbortSignal
): Promise<{ sources: Source[]; missing: unknown }> {
  const pages = Math.ceil(((view.page + 1) * view.limit) / consoleRowsMax)
  if (pages > pagesMax) {
    throw invalidRequest('query/page', `must end within ${pagesMax * consoleRowsMax} rows; search instead`)
  }
  const wanted = calls.placement.cellNames.flatMap(cell =>
    Array.from({ length: pages }, (_, page) => ({ cell, page }))
  )
  const opened = await Promise.allSettled(
    wanted.map(async ({ cell, page }): Promise<Source> => {
      const query = { ...(request.query as object), page: String(page), limit: String(consoleRowsMax) }
      const path = `/console/live?${new URLSearchParams(query)}`
      const response = await calls.open(cell, { ...requestOf(request), path, signal })
      return { response, page, told: null, sparks: {} }
    })
  )
  const failed = opened.find(each => each.status === 'rejected')
  return {
    sources: opened.flatMap(each => (each.status === 'fulfilled' ? [each.value] : [])),
    missing: failed?.reason ?? null
  }
}

/** One stream from all sources. It tells what has changed, once every source has spoken. */
function joined(sources: Source[], view: View, isWhole: boolean, ending: AbortController): Readable {
  const stream = new Readable({ read() {} })
  stream.push(': open\n\n')
  // A page that does not read gets no more.
  const hasRoom = () => stream.readableLength === 0
  const push = (text: string) => hasRoom() && stream.push(text)
  let sent: string[] = []
  const tell = () => {
    if (!hasRoom() || sources.some(({ told }) => told === null)) return
    const texts = eventsOf(sources, view, isWhole).map(event => JSON.stringify(event))
    const changed = texts.filter((text, index) => text !== sent[index])
    if (changed.length > 0) stream.push(changed.map(text => `data: ${text}\n\n`).join(''))
    sent = texts
  }
  const end = () => {
    ending.abort()
    stream.push(null)
  }
  for (const source of sources) {
    const hear = (event: Event | null) => {
      if (event === null) push(': still here\n\n')
      else if ('trouble' in event) push('data: {"trouble":true}\n\n')
      else if ('sparks' in event) source.sparks = event.sparks
      else source.told = event
      tell()
    }
    readEvents(source.response, hear).then(end, end)
  }
  stream.once('close', () => ending.abort())
  return stream
}

/** What the page of all cells shows: its rows and sums, and the last hours of its rows. */
function eventsOf(sources: Source[], view: View, isWhole: boolean): object[] {
  const rows = rowsOf(sources, view)
  const cells = sources.filter(({ page }) => page === 0).map(({ told }) => told!)
  const sum = (of: (cell: Page) => number | null) => cells.reduce((total, cell) => total + (of(cell) ?? 0), 0)
  const knowsLeftOut = isWhole && cells.every(({ leftOut }) => leftOut !== null)
  const sparkOf = (queue: string) => sources.find(({ sparks }) => Object.hasOwn(sparks, queue))?.sparks[queue]
  return [
    {
      matched: sum(({ matched }) => matched),
      total: sum(({ total }) => total),
      leftOut: knowsLeftOut ? sum(({ leftOut }) => leftOut) : null,
      sums: Object.fromEntries([...openStates, ...rates].map(name => [name, sum(({ sums }) => sums[name])])),
      rows
    },
    { sparks: Object.fromEntries(rows.map(({ queue }) => [queue, sparkOf(queue)])) }
  ]
}

function rowsOf(sources: Source[], view: View): QueueRow[] {
  const byName = new Map<string, QueueRow>()
  for (const row of sources.flatMap(({ told }) => told!.rows)) {
    const other = byName.get(row.queue)
    byName.set(row.queue, other === undefined ? row : sumOf(other, row))
  }
  const byNames = [...byName.values()].toSorted((a, b) => (a.queue < b.queue ? -1 : 1))
  return new QueueList(byNames, 0).page(view).rows
}

/** A queue that moves is in two cells. */
function sumOf(a: QueueRow, b: QueueRow): QueueRow {
  const known = (x: number | null, y: number | null) => x !== null || y !== null
  const plus = (x: number | null, y: number | null) => (known(x, y) ? (x ?? 0) + (y ?? 0) : null)
  const oldest = [a.oldestReadySeconds, b.oldestReadySeconds].filter(age => age !== null)
  return {
    ...a,
    ...Object.fromEntries(openStates.map(state => [state, a[state] + b[state]])),
    ...Object.fromEntries(rates.map(name => [name, plus(a[name], b[name])])),
    oldestReadySeconds: oldest.length === 0 ? null : Math.max(...oldest)
  }
}

/** Hands on each event, and null for each comment, until the stream ends. */
async function readEvents(response: Response, hear: (event: Event | null) => void): Promise<void> {
  let text = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const parts = (text + chunk).split('\n\n')
    text = parts.pop()!
    if (text.length > eventCharsMax) throw new Error('The cell sends an event without end.')
    for (const part of parts) {
      hear(part.startsWith('data: ') ? (JSON.parse(part.slice('data: '.length)) as Event) : null)
    }
  }
}
