/** Unique work: while a message holds its key, a queue stores no second one of that key. */
import type { Digits } from './message.ts'
import type { Unique } from './options.ts'
import type { EnqueueAnswer, EnqueueRow } from './rows.ts'

/** Whether the row takes the place of the message that holds its unique key. */
export const replaces = ({ unique }: Pick<EnqueueRow, 'unique'>) => unique?.onConflict === 'replace'

const keyIn = (queueId: Digits, { key }: Unique) => `${queueId} ${key}`

/** The key of a row within all queues; null where it has none. */
export function uniqueKeyOf({ queueId, unique }: EnqueueRow): string | null {
  return unique === undefined ? null : keyIn(queueId, unique)
}

/**
 * Leaves one row of each unique key: the last one that replaces, or else the first. It does to the
 * queue what all of them would do one after the other. `spread` makes the answers of all rows from
 * those of the rows that were left.
 *
 * Rows with an idempotency key stay, and so do those in lines, where the group of each is compared.
 * Their answers need not be the same for all of a key.
 */
export function collapse(rows: EnqueueRow[]): {
  rows: EnqueueRow[]
  spread: (answers: EnqueueAnswer[]) => EnqueueAnswer[]
} {
  const keysKeptWhole = new Set(
    rows.filter(row => row.idempotencyKey !== undefined || row.lined === true).map(uniqueKeyOf)
  )
  const left: EnqueueRow[] = []
  const firsts: EnqueueRow[] = []
  const indexes = new Map<string, number>()
  const indexOf = rows.map(row => {
    const key = uniqueKeyOf(row)
    const leftIndex = key === null || keysKeptWhole.has(key) ? undefined : indexes.get(key)
    if (leftIndex === undefined) {
      if (key !== null) indexes.set(key, left.length)
      firsts.push(row)
      return left.push(row) - 1
    }
    if (replaces(row)) left[leftIndex] = row
    return leftIndex
  })
  const spread = (answers: EnqueueAnswer[]) =>
    rows.map((row, index) => {
      const leftIndex = indexOf[index]!
      const answer = answers[leftIndex]!
      if (answer === null || left.length === rows.length) return answer
      const isFirst = firsts[leftIndex] === row
      const position = left[leftIndex] === row ? answer.position : null
      const stored = isFirst && !answer.duplicate && answer.replaced !== true
      if (stored) return { ...answer, position }
      const replaced = replaces(row) && !answer.duplicate
      return { ...answer, position, replaced, duplicate: !replaced }
    })
  return { rows: left, spread }
}
