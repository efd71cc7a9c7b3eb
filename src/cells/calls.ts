/** Calls to cells. */
import { QueueError } from '../core/errors.ts'
import type { Placement } from '../core/placement.ts'

const answerMsMax = 10_000

export interface CellRequest {
  method: string
  /** With its query. */
  path: string
  headers?: Record<string, string>
  body?: string | Uint8Array | undefined
  /** Ends the call. */
  signal?: AbortSignal
  /** Hears of the bytes of an answer as they come. What it throws ends the call. */
  countAnswer?: (bytes: number) => void
}

export interface CellAnswer {
  status: number
  headers: Headers
  text: string
}

/** Each call goes to the first replica of its cell that answers, and changes nothing twice. */
export class CellCalls {
  readonly #placement: () => Placement

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
   * Refuses with cellUnavailable when no replica of the cell answers. Throws what `countAnswer` throws,
   * unless the call may have changed something.
   */
  async call(cell: string, request: CellRequest): Promise<CellAnswer> {
    const response = await this.open(cell, { signal: AbortSignal.timeout(answerMsMax), ...request })
    const text = await textOf(response, request.countAnswer).catch(error => {
      throw error instanceof QueueError && request.method === 'GET'
        ? error
        : unavailable(cell, request, error)
    })
    return { status: response.status, headers: response.headers, text }
  }

  /** The same, for an answer that is read as it comes. */
  async open(cell: string, request: CellRequest): Promise<Response> {
    const { method, path, headers = {}, body, signal = null } = request
    let failure: unknown
    for (const replica of this.placement.file.cells[cell]!.replicas) {
      try {
        return await fetch(replica + path, {
          method,
          headers,
          body: (body ?? null) as NonNullable<RequestInit['body']> | null,
          signal,
          redirect: 'manual'
        })
      } catch (error) {
        failure = error
        if (method !== 'GET' && !neverArrived(error)) break
      }
    }
    throw unavailable(cell, request, failure)
  }
}

/** The whole answer. Throws what `count` throws. */
export async function textOf({ body }: Response, count: CellRequest['countAnswer']): Promise<string> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body ?? []) {
    count?.(chunk.length)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

const causeOf = (error: unknown) => (error as { cause?: { code?: string } }).cause

/** Whether nobody heard the call, so that another replica may be asked. */
const neverArrived = (error: unknown) =>
  ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT'].includes(
    causeOf(error)?.code ?? ''
  )

function unavailable(cell: string, { method }: CellRequest, error: unknown): QueueError {
  const isHarmless = method === 'GET' || neverArrived(error)
  const change = isHarmless ? 'nothing was changed there' : 'the change may or may not have been made there'
  return new QueueError(
    'cellUnavailable',
    `The cell ${cell} does not answer, and ${change}. Send the request again.`,
    { outcome: isHarmless ? 'none' : 'unknown', cause: error }
  )
}
