/** Making queues, and changing their settings. */
import type { NewQueueTerms, PutOutcome, QueueMaker } from '../../core/queuePorts.ts'
import { standstillMsMax } from '../../core/limits.ts'
import type { Entries, QueueChange, Revise } from '../../core/queue.ts'
import { mayBeNull, settingPaths } from '../../core/settings.ts'
import type { Database } from '../database.ts'
import { isServerError } from '../databaseErrors.ts'
import { sql, type Session, type Statement, type Transaction } from '../statement.ts'
import { adoptStatement, autoQueueVerbs } from './autoQueues.ts'
import { lockChains, refuseCircle } from './deadLetters.ts'
import { keepLimits } from './changeLimits.ts'
import { conditionOfOrder } from './order.ts'
import { createStatement, findQueue } from './queues.ts'
import { standStill } from './standstill.ts'

const sqlTypes = {
  number: 'float8',
  integer: 'integer',
  choice: 'text',
  flag: 'boolean',
  queue: 'text',
  texts: 'jsonb',
  record: 'jsonb'
}

// For a setting that may not be null, null stands for "left out".
function assignment(row: (typeof settingPaths)[number]): string {
  const { path, column, type } = row
  const given = `(c.new #>> '{${path.join(',')}}')::${sqlTypes[type]}`
  if (!mayBeNull(row)) {
    return sql`
      ${column} = coalesce(
        ${given},
        q.${column}
      )`
  }
  return sql`
    ${column} = case
      when c.new ? '${path[0]!}' then ${given}
      else q.${column}
    end`
}

const mergedWith = (entries: string, changes: string) => sql`
  jsonb_strip_nulls(${entries} || coalesce(c.new->'${changes}', '{}'))`

const assignments = settingPaths.map(row =>
  row.column === 'tags'
    ? `tags = ${mergedWith("coalesce(c.new->'tags', q.tags)", 'tagChanges')}`
    : assignment(row)
)

export const changeStatement: Statement = {
  name: 'change_queue',
  parameters: '$1 name · $2 change, as JSON',
  text: sql`
    update holdfast.queues q
    set
      ${assignments.join(',\n')},
      front = ${mergedWith('q.front', 'front')},
      updated_at = case when c.new = '{}' then q.updated_at else clock_timestamp() end
    from (select $2::jsonb as new) c
    where q.name = $1`
}

export const lockEntriesStatement: Statement<Entries> = {
  name: 'lock_queue_entries',
  parameters: '$1 name',
  text: sql`
    select
      tags,
      front
    from holdfast.queues
    where name = $1
    for no key update`
}

/** Undoes a change of the order: a message came before everybody waited. */
const notEmpty = new Error('The queue holds a message.')

/**
 * Makes the queue if there is none, then changes the settings given. A new queue counts for its
 * maker. Without a maker it counts for nobody, and neither does one that was there. Changes nothing
 * when the order would change and the queue holds a message, and as `only` says.
 */
export async function putQueue(
  database: Database,
  name: string,
  given: QueueChange,
  { maker, only, begin = () => standstillMsMax, revise }: NewQueueTerms = { maker: null }
): Promise<PutOutcome> {
  const work = async (session: Transaction): Promise<PutOutcome> => {
    await lockChains(session, given)
    const change = revise === undefined ? given : await revised(session, name, given, revise)
    if (change === null || (only === 'existing' && (await findQueue(session, name)) === null)) return 'absent'
    const made = only !== 'existing' && (await make(session, name, maker))
    if (!made && only === 'new') return 'present'
    const isReady = made ? null : await conditionOfOrder(session, name, change)
    if (isReady !== null && !(await isReady())) return 'notEmpty'
    await session.query(changeStatement, [name, JSON.stringify(change)])
    await refuseCircle(session, name, change)
    if (!made && maker === null && only !== 'existing') await session.query(adoptStatement, [name])
    const keep = () => keepLimits(session, name, change, begin)
    if (isReady === null) await keep()
    else {
      await standStill(session, begin(), async () => {
        if (!(await isReady())) throw notEmpty
        await keep()
      })
    }
    return made ? 'made' : 'changed'
  }
  try {
    return await database.transaction(work)
  } catch (error) {
    if (error === notEmpty) return 'notEmpty'
    if (isServerError(error) && error.constraint === 'queues_one_group') return 'oneGroup'
    throw error
  }
}

/** null: there is no such queue. */
async function revised(
  session: Session,
  name: string,
  change: QueueChange,
  revise: Revise
): Promise<QueueChange | null> {
  const [entries] = await session.query(lockEntriesStatement, [name])
  return entries === undefined ? null : { ...change, ...revise(entries) }
}

async function make(session: Session, name: string, maker: QueueMaker | null): Promise<boolean> {
  if (maker !== null) return await makeFor(session, name, maker)
  return (await session.query(createStatement, [name])).length > 0
}

// Only a queue that is not there is counted: to count, sessions wait for each other.
async function makeFor(
  session: Session,
  name: string,
  { callerId, checkRoom }: QueueMaker
): Promise<boolean> {
  if ((await findQueue(session, name)) !== null) return false
  const { exists, ...held } = await autoQueueVerbs.countAutoQueues(session, name, callerId)
  if (exists) return false
  checkRoom(held)
  await autoQueueVerbs.createAutoQueue(session, name, callerId)
  return true
}
