/** Messages as the parameters of the statements that store them. */
import type { Marks } from '../core/message.ts'
import type { MessageOptions } from '../core/options.ts'
import type { EnqueueRow } from '../core/ports.ts'
import { int2Array, int4Array, jsonbArray, textArray } from './arrays.ts'

/** What every message has: its queue, its priority, and its body if that is text. */
export const plainColumns = (rows: EnqueueRow[]): Buffer[] => [
  int4Array(rows.map(row => Number(row.queueId))),
  int2Array(rows.map(row => row.priority)),
  textArray(rows.map(row => (typeof row.body === 'string' ? row.body : null)))
]

/** As above, with the type and the headers of each. Empty headers are the same as none. */
export const typedColumns = (rows: EnqueueRow[]): Buffer[] => [
  ...plainColumns(rows),
  textArray(rows.map(row => row.contentType)),
  jsonbArray(rows.map(({ headers }) => (hasHeaders(headers) ? JSON.stringify(headers) : null)))
]

/** The plain columns, and as JSON what else each message has. */
export const describedColumns = (rows: EnqueueRow[]): Buffer[] => [
  ...plainColumns(rows),
  jsonbArray(describeAll(rows))
]

function hasHeaders(headers: Record<string, string> = {}): boolean {
  return Object.keys(headers).length > 0
}

/** Whether a message has nothing beside its plain columns. */
export function isBare(row: EnqueueRow): boolean {
  return row.contentType === null && row.headers === undefined && isTyped(row)
}

/** Whether a message has nothing beside its plain columns, its type and its headers. */
export function isTyped(row: EnqueueRow): boolean {
  return (
    typeof row.body === 'string' &&
    row.delaySeconds === undefined &&
    row.visibleAt === undefined &&
    row.ttlSeconds === undefined &&
    row.maxAttempts === undefined &&
    row.idempotencyKey === undefined &&
    row.group === undefined &&
    row.published === undefined &&
    row.defaults === null
  )
}

type Described =
  | 'bytes'
  | 'contentType'
  | 'headers'
  | 'marks'
  | 'queueDelaySeconds'
  | 'queueTtlSeconds'
  | Exclude<keyof MessageOptions, 'priority' | 'group' | 'unique'>

/**
 * Describes each row; null where it has nothing of it. The copies of one publish follow one another,
 * and differ in their queues alone.
 */
function describeAll(rows: EnqueueRow[]): (string | null)[] {
  const descriptions: (string | null)[] = []
  for (const [i, row] of rows.entries()) {
    const { published, defaults } = rows[i - 1] ?? {}
    const isCopy = row.published !== undefined && row.published === published && row.defaults === defaults
    descriptions.push(isCopy ? descriptions[i - 1]! : describe(row))
  }
  return descriptions
}

/** What few messages carry, as JSON; null when this one has nothing of it. */
function describe(row: EnqueueRow): string | null {
  const { body, contentType, headers, delaySeconds, visibleAt, ttlSeconds, maxAttempts, idempotencyKey } = row
  const { group, defaults, published } = row
  if (isBare(row)) return null
  const hasMarks = group !== undefined || published !== undefined
  return JSON.stringify({
    bytes: typeof body === 'string' ? undefined : body.toString('base64'),
    contentType: contentType ?? undefined,
    headers,
    delaySeconds,
    visibleAt,
    ttlSeconds,
    maxAttempts,
    idempotencyKey,
    marks: hasMarks ? ({ group, ...published } satisfies Marks) : undefined,
    queueDelaySeconds: defaults?.delaySeconds,
    queueTtlSeconds: defaults?.ttlSeconds
  } satisfies Record<Described, unknown>)
}
