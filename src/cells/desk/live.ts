/** The console's list of queues over all cells, from the streams of the cells. */
import { Readable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { openStates } from '../../core/counters.ts'
import { invalidRequest } from '../../core/errors.ts'
import { consoleRowsDefault, consoleRowsMax } from '../../core/limits.ts'
import { everyQueue } from '../../core/queue.ts'
import { QueueList, sorts, type Page, type QueueRow, type View } from '../../fronts/console/queueList.ts'
import type { CellAnswer } from '../answer.ts'
import type { CellCalls } from '../calls.ts'
import { requestOf, sendAnswer } from './forward.ts'

/** The last hours of queues, by name. They are passed on as they are. */
type Sparks = Record<string, unknown>
/** What the stream of a cell tells. */
type Event = { trouble: true } | { sparks: Sparks } | Page

/** The stream of one page of a cell. */
interface Opened {
  response: Response
  /** From 0. Every page of a cell says the same of the whole cell. */
  page: number
  /** Ends the stream. */
  ending: AbortController
}

/** With what it has said last. */
interface Source extends Opened {
  told: Page | null
  sparks: Sparks
}

/** A page of all cells needs every row before it, from each of them. */
const pagesMax = 10
/** Of one event of a cell. A page of rows, or their last hours, has some 100 kB. */
const eventCharsMax = 4_194_304
const rates = ['enqueuedPerSecond', 'ackedPerSecond'] as const

/** In which a cell begins its stream, and in which it tells its first event. */
const firstMsMax = 3000
/** A cell says every 10 s that it is still here. */
const silenceMsMax = 30_000
/** After which a page that has not read yet is looked at again. */
const roomMs = 200
/** A page that leaves out a cell ends after this time, since the cell may be back. */
const againMs = 30_000

/**
 * Answers with a stream of events. It ends when the stream of a cell ends, and the console then asks
 * again. A cell that tells nothing is left out, and `leftOut` says so.
 */
export async function sendLive(
  calls: CellCalls,
  request: FastifyRequest,
  reply: FastifyReply
): Promise<FastifyReply> {
  const view = viewOf(request.query as Record<string, string>)
  const opened = await openAll(calls, request, view)
  const streams = opened.filter(each => 'response' in each)
  const refusals = opened.filter(each => 'refusal' in each).map(({ refusal }) => refusal)
  const refusal = refusals.find(({ status }) => status < 500)
  if (refusal !== undefined || streams.length === 0) {
    for (const { ending } of streams) ending.abort()
    const told = refusal ?? refusals[0]
    if (told !== undefined) return sendAnswer(reply, told)
    throw opened.find(each => 'error' in each)!.error
  }
  const sources = streams.map(each => ({ ...each, told: null, sparks: {} }))
  const stream = new JoinedStream(sources, view, streams.length === opened.length).readable
  request.raw.socket.once('close', () => stream.destroy())
  return reply
    .headers({ 'cache-control': 'no-store', connection: 'close', 'x-accel-buffering': 'no' })
    .type('text/event-stream')
    .send(stream)
}

function viewOf({ sort = 'name', descending, page = '0', limit }: Record<string, string>): View {
  const view: View = {
    search: '',
    sort: sort as View['sort'],
    descending: descending === 'true',
    page: Number(page),
    limit: Number(limit ?? consoleRowsDefault),
    within: everyQueue
  }
  if (!sorts.includes(view.sort)) throw invalidRequest('query/sort', `must be one of ${sorts.join(', ')}`)
  if (!isWhole(view.page, 0)) throw invalidRequest('query/page', 'must be a whole number from 0 on')
  if (!isWhole(view.limit, 1) || view.limit > consoleRowsMax) {
    throw invalidRequest('query/limit', `must be from 1 to ${consoleRowsMax}`)
  }
  return view
}

const isWhole = (value: number, min: number) => Number.isSafeInteger(value) && value >= min

/** For each page of each cell: its stream, its refusal, or why there is none. At least one. */
async function openAll(
  calls: CellCalls,
  request: FastifyRequest,
  view: View
): Promise<(Opened | { refusal: CellAnswer } | { error: unknown })[]> {
  const pages = Math.ceil(((view.page + 1) * view.limit) / consoleRowsMax)
  if (pages > pagesMax) {
    throw invalidRequest('query/page', `must end within ${pagesMax * consoleRowsMax} rows; search instead`)
  }
  const wanted = calls.placement.cellNames.flatMap(cell =>
    Array.from({ length: pages }, (_, page) => ({ cell, page }))
  )
  return await Promise.all(
    wanted.map(async ({ cell, page }) => {
      const query = { ...(request.query as object), page: String(page), limit: String(consoleRowsMax) }
      const path = `/console/live?${new URLSearchParams(query)}`
      const ending = new AbortController()
      const signal = AbortSignal.any([ending.signal, request.gone])
      const asked = { ...requestOf(request), path, signal, msMax: firstMsMax }
      const opened = calls.open(cell, asked)
      return await opened.then(
        response => (response instanceof Response ? { response, page, ending } : { refusal: response }),
        (error: unknown) => ({ error })
      )
    })
  )
}

/** One stream from all sources. It tells what has changed, once every source has spoken. */
class JoinedStream {
  readonly readable = new Readable({ read() {} })
  readonly #sources: Set<Source>
  readonly #view: View
  /** Whether every cell is among the sources. */
  #isWhole = true
  #sent: string[] = []
  #ended = false
  #again: NodeJS.Timeout | undefined
  #later: NodeJS.Timeout | undefined

  constructor(sources: Source[], view: View, isWhole: boolean) {
    this.#sources = new Set(sources)
    this.#view = view
    this.readable.push(': open\n\n')
    this.readable.once('close', () => this.#stop())
    if (!isWhole) this.#beIncomplete()
    for (const source of sources) {
      readEvents(source, event => this.#hear(source, event)).then(
        () => this.#end(),
        () => (source.told === null ? this.#leaveOut(source) : this.#end())
      )
    }
  }

  #hear(source: Source, event: Event | null): void {
    if (event === null) this.#push(': still here\n\n')
    else if ('trouble' in event) this.#push('data: {"trouble":true}\n\n')
    else if ('sparks' in event) source.sparks = event.sparks
    else source.told = event
    this.#tell()
  }

  // A page that does not read gets no more.
  get #hasRoom(): boolean {
    return !this.#ended && this.readable.readableLength === 0
  }

  #push(text: string): void {
    if (this.#hasRoom) this.readable.push(text)
  }

  #tell(): void {
    const sources = [...this.#sources]
    if (this.#ended || sources.some(({ told }) => told === null)) return
    if (!this.#hasRoom) {
      this.#later ??= setTimeout(() => {
        this.#later = undefined
        this.#tell()
      }, roomMs)
      return
    }
    const texts = eventsOf(sources, this.#view, this.#isWhole).map(event => JSON.stringify(event))
    const changed = texts.filter((text, index) => text !== this.#sent[index])
    if (changed.length > 0) this.readable.push(changed.map(text => `data: ${text}\n\n`).join(''))
    this.#sent = texts
  }

  /** A source that tells no event holds up all others. */
  #leaveOut(source: Source): void {
    source.ending.abort()
    this.#sources.delete(source)
    if (this.#sources.size === 0) return this.#end()
    this.#beIncomplete()
    this.#tell()
  }

  #beIncomplete(): void {
    this.#isWhole = false
    this.#again ??= setTimeout(() => this.#end(), againMs)
  }

  #stop(): void {
    clearTimeout(this.#again)
    clearTimeout(this.#later)
    for (const { ending } of this.#sources) ending.abort()
  }

  #end(): void {
    this.#stop()
    this.#ended = true
    if (!this.readable.destroyed) this.readable.push(null)
  }
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

/**
 * Hands on each event, and null for each comment, until the stream ends. Throws where the cell tells no
 * event in time, falls silent, or tells what is no event.
 */
async function readEvents(source: Source, hear: (event: Event | null) => void): Promise<void> {
  const { response, ending } = source
  const startedMs = performance.now()
  const timeLeft = () => (source.told === null ? startedMs + firstMsMax - performance.now() : silenceMsMax)
  let timer = setTimeout(() => ending.abort(), timeLeft())
  let text = ''
  try {
    for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
      const parts = (text + chunk).split('\n\n')
      text = parts.pop()!
      if (text.length > eventCharsMax) throw new Error('The cell sends an event without end.')
      for (const part of parts) hear(part.startsWith('data: ') ? eventIn(part.slice('data: '.length)) : null)
      clearTimeout(timer)
      timer = setTimeout(() => ending.abort(), timeLeft())
    }
  } finally {
    clearTimeout(timer)
  }
}

function eventIn(text: string): Event {
  const event = JSON.parse(text) as Partial<Record<string, unknown>>
  const { trouble, sparks, rows, sums } = event
  const isPage = Array.isArray(rows) && rows.every(row => typeof row?.queue === 'string') && isObject(sums)
  const isEvent = trouble === true || isObject(sparks) || isPage
  if (isEvent) return event as unknown as Event
  throw new Error('The cell tells what is no event of the console.')
}

const isObject = (value: unknown) => typeof value === 'object' && value !== null
