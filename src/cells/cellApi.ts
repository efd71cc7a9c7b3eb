/** The REST API of one cell, called with the admin key. */
import type { RawJson } from '../core/engine/envelope.ts'
import { QueueError } from '../core/errors.ts'
import { pageRowsDefault } from '../core/limits.ts'
import type { QueueReport } from '../core/queue.ts'
import type { CellAnswer } from './answer.ts'
import type { CellCalls, CellRequest } from './calls.ts'

/** A queue on its way from one cell to another. */
export interface Transfer {
  queue: string
  from: CellApi
  to: CellApi
}

/**
 * Each call throws a QueueError with cellUnavailable when the cell cannot say, and an Error with what the
 * cell says when it refuses.
 */
export class CellApi {
  readonly name: string
  readonly #calls: CellCalls
  readonly #headers: Record<string, string>

  /** `key` is null where the cells ask for none. */
  constructor(name: string, calls: CellCalls, key: string | null) {
    this.name = name
    this.#calls = calls
    this.#headers = key === null ? {} : { authorization: `Bearer ${key}` }
  }

  /** The text of what is there. */
  async get(path: string): Promise<string> {
    return (await this.#call({ method: 'GET', path })).text
  }

  /** The text of what may not be there. null: the cell has no such thing. */
  async find(path: string): Promise<string | null> {
    const { status, text } = await this.#call({ method: 'GET', path }, 404)
    return status === 404 ? null : text
  }

  /** What the cell reports of a queue. null: the cell has no such queue. */
  async queue(name: string): Promise<QueueReport | null> {
    const text = await this.find(`/queues/${name}`)
    return text === null ? null : JSON.parse(text)
  }

  /** The entries of all pages of a list. `query` is sent with each page. */
  async *entries<Entry>(path: string, list: string, query: Record<string, string> = {}) {
    let cursor: string | null = null
    do {
      const limit = String(pageRowsDefault)
      const asked = new URLSearchParams({ ...query, limit, ...(cursor !== null && { cursor }) })
      const page = JSON.parse(await this.get(`${path}?${asked}`))
      yield* page[list] as Entry[]
      cursor = page.cursor
    } while (cursor !== null)
  }

  /** Sends JSON. */
  async put(path: string, body: string): Promise<void> {
    await this.#call({ method: 'PUT', path, headers: json, body })
  }

  /** Sends JSON, or a body of another content type. */
  async post(path: string, body: string | Uint8Array, contentType = json['content-type']): Promise<void> {
    await this.#call({ method: 'POST', path, headers: { 'content-type': contentType }, body })
  }

  async delete(path: string): Promise<void> {
    await this.#call({ method: 'DELETE', path })
  }

  async #call(request: CellRequest, allowedStatus?: number): Promise<CellAnswer> {
    const headers = { ...this.#headers, ...request.headers }
    const answer = await this.#calls.call(this.name, { ...request, headers })
    if (answer.status < 300 || answer.status === allowedStatus) return answer
    const reason = detailOf(answer.text) ?? `it answered ${answer.status}.`
    const sentence = `The cell ${this.name} refused ${request.method} ${request.path}: ${reason}`
    throw answer.status === 503 ? new QueueError('cellUnavailable', sentence) : new Error(sentence)
  }
}

const json = { 'content-type': 'application/json' }

function detailOf(text: string): string | undefined {
  try {
    return JSON.parse(text).detail
  } catch {
    return undefined
  }
}

/** The text of an object with these fields and this body, which is sent exactly as it came. */
export function withBody(body: RawJson, fields: object): string {
  return `{"body":${body.text},${JSON.stringify(fields).slice(1)}`
}
