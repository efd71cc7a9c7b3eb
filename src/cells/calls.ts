/** Calls to cells. */
import { QueueError } from '../core/errors.ts'
import type { Placement } from '../core/placement.ts'
import {
  isEventStream,
  LargeAnswer,
  readAnswer,
  StrangeAnswer,
  type CellAnswer,
  type Expected
} from './answer.ts'

const answerMsMax = 10_000

export interface CellRequest extends Expected {
  method: string
  /** With its query. */
  path: string
  headers?: Record<string, string>
  body?: string | Uint8Array | undefined
  /** Ends the call. */
  signal?: AbortSignal
  /** How long all replicas of a cell together may take. Default: 10 s. */
  msMax?: number
  /** Called before a call to the cell, which it may refuse. What it answers is called after it. */
  hold?: (cell: string) => () => void
}

/**
 * Each call goes to one replica of its cell after another until one answers, and changes nothing twice.
 * The replica that answered is asked first the next time.
 */
export class CellCalls {
  readonly #placement: () => Placement
  /** By cell: the replica that is asked first. */
  readonly #first = new Map<string, string>()

  /** `placement` gives the newest one. */
  constructor(placement: () => Placement) {
    this.#placement = placement
  }

  get placement(): Placement {
    return this.#placement()
  }

  /** The answers of all cells, in their order. Refuses with cellUnavailable where one does not answer. */
  callAll(request: CellRequest): Promise<CellAnswer[]> {
    return Promise.all(this.placement.cellNames.map(cell => this.call(cell, request)))
  }

  /**
   * Refuses with cellUnavailable when no replica of the cell answers as Holdfast does. Throws what
   * `countAnswer` throws, unless the call may have changed something, and what `hold` throws.
   */
  call(cell: string, request: CellRequest): Promise<CellAnswer> {
    return this.#ask(cell, request, response => readAnswer(cell, response, request))
  }

  /** The same, for a stream of events, which is read as it comes. A cell may refuse it with an answer. */
  open(cell: string, request: CellRequest): Promise<Response | CellAnswer> {
    return this.#ask<Response | CellAnswer>(cell, request, async response =>
      isEventStream(response) ? response : readAnswer(cell, response, { ...request, expects: 'refusal' })
    )
  }

  /** What `read` makes of the response of the first replica that gives a good one. */
  async #ask<T>(cell: string, request: CellRequest, read: (response: Response) => Promise<T>): Promise<T> {
    const { method, hold, signal, msMax = answerMsMax } = request
    const release = hold?.(cell)
    try {
      const replicas = this.#inTurn(cell)
      const endsMs = performance.now() + msMax
      let failure: unknown
      for (const [index, replica] of replicas.entries()) {
        const ownMs = (endsMs - performance.now()) / (replicas.length - index)
        try {
          return await within(ownMs, signal, async ending => read(await send(replica, request, ending)))
        } catch (error) {
          if (error instanceof QueueError && method === 'GET') throw error
          failure = error
          if (signal?.aborted) break
          this.#first.set(cell, replicas[(index + 1) % replicas.length]!)
          if (method !== 'GET' && !neverArrived(error)) break
        }
      }
      throw unavailable(cell, request, failure)
    } finally {
      release?.()
    }
  }

  #inTurn(cell: string): string[] {
    const { replicas } = this.placement.file.cells[cell]!
    const start = Math.max(0, replicas.indexOf(this.#first.get(cell)!))
    return [...replicas.slice(start), ...replicas.slice(0, start)]
  }
}

/** Runs the work, which is told to end after this time, or with the signal. */
async function within<T>(
  ms: number,
  signal: AbortSignal | undefined,
  work: (ending: AbortSignal) => Promise<T>
): Promise<T> {
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(new Error('It took too long.')), ms)
  try {
    return await work(signal === undefined ? late.signal : AbortSignal.any([late.signal, signal]))
  } finally {
    clearTimeout(timer)
  }
}

const send = (
  replica: string,
  { method, path, headers = {}, body }: CellRequest,
  signal: AbortSignal
): Promise<Response> =>
  fetch(replica + path, {
    method,
    headers,
    body: (body ?? null) as NonNullable<RequestInit['body']> | null,
    signal,
    redirect: 'manual'
  })

const causeOf = (error: unknown) => (error as { cause?: { code?: string } }).cause

/** Whether nobody heard the call, so that another replica may be asked. */
const neverArrived = (error: unknown) =>
  ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT'].includes(
    causeOf(error)?.code ?? ''
  )

function unavailable(cell: string, { method, path }: CellRequest, error: unknown): QueueError {
  const isHarmless = method === 'GET' || neverArrived(error)
  const change = isHarmless ? 'nothing was changed there' : 'the change may or may not have been made there'
  const call = `${method} ${path.split('?')[0]}`
  return new QueueError('cellUnavailable', sentenceOf(error, cell, call, change), {
    outcome: isHarmless ? 'none' : 'unknown',
    cause: error
  })
}

function sentenceOf(error: unknown, cell: string, call: string, change: string): string {
  if (error instanceof StrangeAnswer) {
    return (
      `What answers for the cell ${cell} is no service of Holdfast: ${call} gave ${error.message}. So ` +
      `${change}. Correct the cell's replicas in the placement file, or start them.`
    )
  }
  if (error instanceof LargeAnswer) {
    return `The cell ${cell} answered ${call} with ${error.message}, and ${change}. Ask for a smaller page.`
  }
  return `The cell ${cell} does not answer, and ${change}. Send the request again.`
}
