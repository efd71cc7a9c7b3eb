/** The last failures of dead, moved and backing-off messages, to be grouped by their reasons. */
import { failureReasonCharsMax } from '../../core/limits.ts'
import { idMax, type Digits, type FailingState } from '../../core/message.ts'
import type { FailedMessage } from '../../core/ports.ts'
import { lastFailureOf, openState } from '../fragments.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { chunk, search } from './search.ts'

// A delayed message without an attempt was enqueued so: it does not back off. A dead or moved one may
// have lost its history.
export const failedStatement: Statement<FailedMessage> = {
  name: 'failed',
  parameters: '$1 queue id · $2 message ids · $3 state',
  slow: true,
  text: sql`
    select
      m.id,
      coalesce(nullif(m.attempt, 0), (m.origin->>'attempts')::integer, 0) as attempt,
      coalesce(
        holdfast.rfc3339(coalesce(f.ended_at, m.dead_at)),
        m.origin->>'diedAt',
        holdfast.rfc3339(m.enqueued_at)
      ) as at,
      left(coalesce(f.reason, m.origin->>'reason'), ${failureReasonCharsMax}) as reason
    from holdfast.messages m
    left join lateral (
      ${lastFailureOf('h.ended_at, h.reason')}
    ) f on true
    where m.queue_id = $1
      and m.id = any($2::bigint[])
      and ${openState} = $3
      and (m.attempt > 0 or $3 <> 'delayed')
    order by m.id`
}

/** The next messages that their deaths brought to a queue. They have an index of their own. */
export const movedIdsStatement: Statement<{ id: Digits }> = {
  name: 'moved_ids',
  parameters: '$1 queue id · $2 after this id · $3 messages examined',
  slow: true,
  text: sql`
    select id
    from holdfast.messages
    where queue_id = $1
      and id > $2
      and origin is not null
    order by id
    limit $3`
}

/**
 * The failed ones of the next messages by id, after `after`: it examines at most `limit`, and no
 * more than a search does in one step. `cursor` is null at the end.
 */
async function findFailed(
  session: Session,
  queueId: Digits,
  state: FailingState,
  after: Digits,
  limit: number
): Promise<{ failed: FailedMessage[]; examined: number; cursor: Digits | null }> {
  const count = Math.min(limit, chunk)
  const wanted = { states: [state], where: null, ids: null }
  const found =
    state === 'ready'
      ? await findMoved(session, queueId, after, count)
      : await search(session, queueId, wanted, { after, last: idMax, count })
  const failed = found.ids.length > 0 ? await session.query(failedStatement, [queueId, found.ids, state]) : []
  const cursor = found.more ? found.examinedTo : null
  return { failed, examined: found.examined, cursor }
}

async function findMoved(session: Session, queueId: Digits, after: Digits, count: number) {
  const rows = await session.query(movedIdsStatement, [queueId, after, count])
  const ids = rows.map(({ id }) => id)
  return { ids, examined: ids.length, examinedTo: ids.at(-1) ?? null, more: ids.length === count }
}

export const failureVerbs = { findFailed }
