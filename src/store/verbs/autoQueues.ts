/** The queues that count for the callers that have made them. */
import { lockKeys } from '../lockKeys.ts'
import { madeQueue } from '../fragments.ts'
import { sql, type Session, type Statement } from '../statement.ts'

export const lockAutoQueuesStatement: Statement = {
  name: 'lock_auto_queues',
  text: sql`select pg_advisory_xact_lock(${lockKeys.makeQueue})`
}

export const countAutoQueuesStatement: Statement<{ exists: boolean; all: number; mine: number }> = {
  name: 'count_auto_queues',
  parameters: '$1 name · $2 id of a caller',
  text: sql`
    select
      exists (select from holdfast.queues where name = $1) as exists,
      count(*)::float8 as "all",
      (count(*) filter (where caller_id = $2))::float8 as mine
    from holdfast.auto_queues`
}

/** Queues that count for all callers and for this one, and whether there is one of this name. */
async function countAutoQueues(
  session: Session,
  name: string,
  callerId: string
): Promise<{ exists: boolean; all: number; mine: number }> {
  await session.query(lockAutoQueuesStatement)
  const [row] = await session.query(countAutoQueuesStatement, [name, callerId])
  return row!
}

export const createAutoStatement: Statement = {
  name: 'create_auto_queue',
  parameters: '$1 name · $2 id of a caller',
  text: sql`
    with ${madeQueue}
    insert into holdfast.auto_queues (queue_id, caller_id)
    select id, $2
    from made`
}

/** Makes a queue that counts for this caller. Nothing happens if there is one. */
async function createAutoQueue(session: Session, name: string, callerId: string): Promise<void> {
  await session.query(createAutoStatement, [name, callerId])
}

/** After a PUT a queue no longer counts as made by an enqueue. */
export const adoptStatement: Statement = {
  name: 'adopt_queue',
  parameters: '$1 name',
  text: sql`
    delete from holdfast.auto_queues
    where queue_id = (select id from holdfast.queues where name = $1)`
}

export const autoQueueVerbs = { countAutoQueues, createAutoQueue }
