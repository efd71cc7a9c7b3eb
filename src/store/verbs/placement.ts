/** Which cell each queue belongs to, as the database of a cell knows it. */
import type { PlacementRow } from '../../core/placement.ts'
import type { Database } from '../database.ts'
import { isServerError, sqlState } from '../databaseErrors.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { lastIdStatement } from './bulk.ts'

export const clearPlacementStatement: Statement = {
  name: 'clear_placement',
  text: 'delete from holdfast.placement'
}

export const writePlacementStatement: Statement = {
  name: 'write_placement',
  parameters: '$1 names · $2 whether each is a whole name · $3 cells',
  text: sql`
    insert into holdfast.placement (name, whole, cell)
    select *
    from unnest($1::text[], $2::boolean[], $3::text[])`
}

/** A queue of this database that belongs to another cell, or whose dead messages do. */
export interface Stray {
  queue: string
  /** null: the queue itself. */
  deadLetterQueue: string | null
  cell: string
}

export const straysStatement: Statement<Stray> = {
  name: 'strays',
  text: sql`
    select
      name as queue,
      null as "deadLetterQueue",
      holdfast.cell_of(name) as cell
    from holdfast.queues
    where holdfast.cell_of(name) is not null
    union all
    select
      name,
      dead_letter_queue,
      holdfast.cell_of(dead_letter_queue)
    from holdfast.queues
    where holdfast.cell_of(dead_letter_queue) is not null
    order by queue`
}

/**
 * Replaces what the database knows. `check` gets the queues that do not fit. Where it throws, nothing
 * is changed.
 */
export async function writePlacement(
  database: Database,
  rows: PlacementRow[],
  check: (strays: Stray[]) => void
): Promise<void> {
  await database.transaction(async session => {
    await session.query(clearPlacementStatement)
    await session.query(writePlacementStatement, [
      rows.map(({ name }) => name),
      rows.map(({ whole }) => whole),
      rows.map(({ cell }) => cell)
    ])
    check(await session.query(straysStatement))
  })
}

export const placementStatement: Statement<PlacementRow> = {
  name: 'placement',
  text: 'select name, whole, cell from holdfast.placement order by name, whole'
}

/** What the database knows. */
export const readPlacement = (session: Session): Promise<PlacementRow[]> => session.query(placementStatement)

export const wakeWaitersStatement: Statement = {
  name: 'wake_waiters',
  parameters: '$1 queue',
  text: sql`
    select pg_notify('holdfast', format('cells ready %s:1000000:9007199254740991', id))
    from holdfast.queues
    where name = $1`
}

/** Has every call that waits for a message of this queue try again, on all replicas. */
export async function wakeWaiters(session: Session, queue: string): Promise<void> {
  await session.query(wakeWaitersStatement, [queue])
}

/** The last id that was given to a message here. */
export async function lastId(session: Session): Promise<string> {
  const [row] = await session.query(lastIdStatement)
  return row!.last_value
}

/**
 * More ids than a cell gives while a move begins: 250,000 a second for eleven hours. A move takes twice
 * as many, and there are enough for 400,000 moves.
 */
const idGap = 10_000_000_000

export const raisePositionsStatement: Statement = {
  name: 'raise_positions',
  parameters: '$1 the least that the last position must be · $2 what it becomes if it is less',
  text: sql`
    select setval('holdfast.positions', $2::bigint)
    from holdfast.positions
    where last_value < $1::bigint`
}

/**
 * Lets ids go on far beyond an id of another cell. It goes by two gaps where one would do, since this
 * cell gives ids meanwhile, and none may come twice. Throws a sentence where the role may not do it.
 */
export async function raiseIds(session: Session, beyond: string): Promise<void> {
  const floor = BigInt(beyond) + BigInt(idGap)
  await session
    .query(raisePositionsStatement, [String(floor), String(floor + BigInt(idGap))])
    .catch(error => {
      if (!isServerError(error, sqlState.rightLacking)) throw error
      throw new Error(
        'The role in databaseUrl of the new cell may not raise the ids there. As the owner of the ' +
          'schema, run there: grant update on sequence holdfast.positions to ROLE;'
      )
    })
}
