/** What a queue still holds in its old cell once the router sends no calls about it there. */
import { parseEnvelope, RawJson } from '../core/engine/envelope.ts'
import type { CellCalls } from './calls.ts'

/** A cell, and how it is called. */
export interface Ask {
  calls: CellCalls
  /** Header fields with the admin key. */
  headers: Record<string, string>
}

/** A leased message is its worker's. */
export type CarriedState = 'ready' | 'delayed' | 'dead'

/** A message as the old cell shows it. `body` is its exact text where it is JSON. */
interface Shown {
  id: string
  body?: RawJson | string
  bodyBase64?: string
  contentType: string
  headers: Record<string, string>
  priority: number
  visibleAt?: string
  group?: string
  unique?: { key: string; until: string }
}

/**
 * Carries over each message in these states. It is enqueued in the new cell under an idempotency key made
 * of its id, and then cancelled in the old one. So whatever is interrupted may be done again. Answers how
 * many were carried, and the ids of those that cannot be enqueued as they are.
 */
export async function carryOver(
  ask: Ask,
  queue: string,
  from: string,
  to: string,
  states: CarriedState[]
): Promise<{ carried: number; stuck: string[] }> {
  let carried = 0
  const stuck: string[] = []
  for (const state of states) {
    let cursor: string | null = null
    do {
      const query: Record<string, string> = { state, limit: '100', ...(cursor !== null && { cursor }) }
      const page = JSON.parse(
        await answerOf(ask, from, 'GET', `/queues/${queue}/messages?${new URLSearchParams(query)}`)
      ) as { messages: { id: string }[]; cursor: string | null }
      for (const { id } of page.messages) {
        if (await carry(ask, queue, from, to, id)) carried++
        else stuck.push(id)
      }
      cursor = page.cursor
    } while (cursor !== null)
  }
  return { carried, stuck }
}

async function carry(ask: Ask, queue: string, from: string, to: string, id: string): Promise<boolean> {
  const path = `/queues/${queue}/messages/${id}`
  const message = parseEnvelope(await answerOf(ask, from, 'GET', path)) as Shown
  const isJson = message.body instanceof RawJson && /^application\/json/i.test(message.contentType)
  // A raw enqueue takes no headers.
  if (!isJson && Object.keys(message.headers).length > 0) return false
  const key = `cell-${from}-${id}`
  const { priority, visibleAt, group, unique } = message
  const options = { priority, visibleAt, group }
  if (isJson) {
    const rest = JSON.stringify({ ...options, unique, headers: message.headers, idempotencyKey: key })
    const body = `{"body":${(message.body as RawJson).text},${rest.slice(1)}`
    await answerOf(ask, to, 'POST', `/queues/${queue}/messages`, body, 'application/json')
  } else {
    const given = { ...options, uniqueKey: unique?.key, uniqueUntil: unique?.until, idempotencyKey: key }
    const query = new URLSearchParams()
    for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, String(value))
    await answerOf(
      ask,
      to,
      'POST',
      `/queues/${queue}/messages?${query}`,
      bytesOf(message),
      message.contentType
    )
  }
  await answerOf(ask, from, 'DELETE', path)
  return true
}

/** The body of a message that is not JSON. Its text stands in the answer as a string of JSON. */
function bytesOf({ body, bodyBase64 }: Shown): Uint8Array {
  if (bodyBase64 !== undefined) return Buffer.from(bodyBase64, 'base64')
  return Buffer.from(body instanceof RawJson ? JSON.parse(body.text) : (body ?? ''))
}

/** The text of an answer. Throws with what the cell says where it refuses. */
export async function answerOf(
  { calls, headers }: Ask,
  cell: string,
  method: string,
  path: string,
  body?: string | Uint8Array,
  contentType = 'application/json'
): Promise<string> {
  const fields = body === undefined ? headers : { ...headers, 'content-type': contentType }
  const { status, text } = await calls.call(cell, { method, path, headers: fields, body })
  if (status < 300) return text
  throw new Error(`The cell ${cell} refused ${method} ${path}: ${detailOf(text) ?? status}`)
}

function detailOf(text: string): string | undefined {
  try {
    return JSON.parse(text).detail
  } catch {
    return undefined
  }
}
