/** Cursors: the place where a page of a list ends, as text that callers send back. */
import { QueueError } from '../../core/errors.ts'
import { pageRowsDefault } from '../../core/limits.ts'
import { isId } from '../../core/message.ts'
import { nameTest, type NamePage, type NameScope } from '../../core/queue.ts'

/** The cursor that a page gives for the next one. null at the end. */
export function cursorTo(place: string | null): string | null {
  return place === null ? null : Buffer.from(place).toString('base64url')
}

/**
 * The place in a cursor that a page gave. `pattern` is what places of this list look like. Refuses with
 * invalidCursor what is no cursor, or is one of another list.
 */
export function cursorOf(cursor: string | undefined, pattern: RegExp): string | undefined {
  if (cursor === undefined) return undefined
  const place = Buffer.from(cursor, 'base64url').toString()
  // Node reads over what is no base64, so a cursor must be what its place is written as.
  const isExact = cursorTo(place) === cursor
  const isTooLarge = /^\d+$/.test(place) && !isId(place)
  if (isExact && pattern.test(place) && !isTooLarge) return place
  throw new QueueError(
    'invalidCursor',
    'The cursor cannot be read. Send it exactly as the page before gave it, or leave it out to ' +
      'begin again.',
    { faults: [{ pointer: 'query/cursor', message: 'is not a cursor of this list' }] }
  )
}

/** The page of the names in a scope that a query asks for. Refuses with invalidCursor. */
export function namePage(
  { limit = pageRowsDefault, cursor }: { limit?: number; cursor?: string },
  scope: NameScope
): NamePage {
  return { after: cursorOf(cursor, nameTest) ?? '', limit, scope }
}
