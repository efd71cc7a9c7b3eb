/** What a queue still holds in its old cell once the router sends no calls about it there. */
import { parseEnvelope, RawJson } from '../core/engine/envelope.ts'
import { withBody, type Transfer } from './cellApi.ts'

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
  transfer: Transfer,
  states: CarriedState[]
): Promise<{ carried: number; stuck: string[] }> {
  const { queue, from } = transfer
  let carried = 0
  const stuck: string[] = []
  for (const state of states) {
    const messages = from.entries<{ id: string }>(`/queues/${queue}/messages`, 'messages', { state })
    for await (const { id } of messages) {
      if (await carry(transfer, id)) carried++
      else stuck.push(id)
    }
  }
  return { carried, stuck }
}

/** Answers whether the message can be carried. */
async function carry({ queue, from, to }: Transfer, id: string): Promise<boolean> {
  const path = `/queues/${queue}/messages/${id}`
  const message = parseEnvelope(await from.get(path)) as Shown
  const { body, contentType, headers, priority, visibleAt, group, unique } = message
  const options = { priority, visibleAt, group, idempotencyKey: `cell-${from.name}-${id}` }
  if (body instanceof RawJson && /^application\/json/i.test(contentType)) {
    await to.post(`/queues/${queue}/messages`, withBody(body, { ...options, unique, headers }))
  } else {
    // A raw enqueue takes no headers.
    if (Object.keys(headers).length > 0) return false
    const query = queryOf({ ...options, uniqueKey: unique?.key, uniqueUntil: unique?.until })
    await to.post(`/queues/${queue}/messages?${query}`, bytesOf(message), contentType)
  }
  await from.delete(path)
  return true
}

function queryOf(options: Record<string, string | number | undefined>): URLSearchParams {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(options)) if (value !== undefined) query.set(name, String(value))
  return query
}

/** The body of a message that is not JSON. Its text stands in the answer as a string of JSON. */
function bytesOf({ body, bodyBase64 }: Shown): Uint8Array {
  if (bodyBase64 !== undefined) return Buffer.from(bodyBase64, 'base64')
  return Buffer.from(body instanceof RawJson ? JSON.parse(body.text) : (body ?? ''))
}
