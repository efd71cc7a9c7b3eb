/**
 * The ledger: what each commit did to the counts of its queues. Every statement that writes it gets
 * its text here. The sweeper folds its rows into holdfast.counts every second, and a reader adds
 * those that are not folded yet.
 */
import { openStates, states, totalNames, type State, type Total } from '../core/counters.ts'
import { sql } from './statement.ts'

/** The column of a total. */
export const totalColumn = <T extends Total>(total: T) => `${total}_total` as const

/** Every column of the ledger and of the counts, the states first. */
export const counterColumns = [...states, ...totalNames.map(totalColumn)]

/** What a statement did: for each state and total that it changes, an expression over its rows. */
interface LedgerEntry {
  /** `$1`: all rows are of this queue. `queue_id`: they are of several, by this column. */
  queue: '$1' | 'queue_id'
  /** The rows that changed; where there are none, nothing is written. */
  from: string
  states: Partial<Record<State, string>>
  totals?: Partial<Record<Total, string>>
}

/** The text that enters a change in the ledger. */
export function ledgerInsert({ queue, from, states: inStates, totals = {} }: LedgerEntry): string {
  const changes = [
    ...states.map(state => [state, inStates[state]]),
    ...totalNames.map(total => [totalColumn(total), totals[total]])
  ].filter(([, change]) => change !== undefined)
  return sql`
    insert into holdfast.ledger (queue_id, ${changes.map(([column]) => column).join(', ')})
    select
      ${[queue, ...changes.map(([, change]) => change)].join(',\n')}
    from ${from}
    ${queue === '$1' ? 'having count(*) > 0' : 'group by queue_id'}`
}

/** The text that enters the leases of queue `$1`: the ready messages that are rows of `leased` now. */
export const noteLeased = ledgerInsert({
  queue: '$1',
  from: 'leased',
  states: { ready: '-count(*)', leased: 'count(*)' },
  totals: { leased: 'count(*)' }
})

/** For rows that are no longer in the state that they had, which is their column `state`. */
export function leaving(from: readonly State[] = openStates): Partial<Record<State, string>> {
  return Object.fromEntries(from.map(state => [state, `-${countIn('state', state)}`]))
}

/** Counts the rows whose `column` is this state. */
export const countIn = (column: string, state: State) => `count(*) filter (where ${column} = '${state}')`

/**
 * Joins `c`: the counts of a queue that are folded. A plain join may walk over the counts of all
 * queues for each, by a plan that was made when there were few.
 */
export const folded = (queueId: string) => sql`
  cross join lateral (
    select *
    from holdfast.counts
    where queue_id = ${queueId}
    limit 1
  ) c`

/** Joins `t`: the sums of these columns over the rows of a queue that are not folded yet. */
export const unfolded = (columns: string[], queueId: string) => sql`
  cross join lateral (
    select
      ${columns.map(column => `coalesce(sum(l.${column}), 0) as ${column}`).join(',\n')}
    from holdfast.ledger l
    where l.queue_id = ${queueId}
  ) t`

/** A number for each name, from what the database answers as text. */
export function countsOf<K extends string>(
  names: readonly K[],
  countOf: (name: K) => string | number
): Record<K, number> {
  return Object.fromEntries(names.map(name => [name, Number(countOf(name))])) as Record<K, number>
}
