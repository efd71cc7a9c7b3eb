/** Topics: the subscriptions of queues. */
import type { NamePage } from '../../core/queue.ts'
import {
  patternDefault,
  type HeldSubscriptions,
  type Subscription,
  type TopicReport
} from '../../core/topic.ts'
import { inScope } from '../fragments.ts'
import { lockKeys } from '../lockKeys.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { activeColumns, createStatement, queueOf, type ActiveRow } from './queues.ts'

export const findTopicStatement: Statement<ActiveRow & { pattern: string }> = {
  name: 'find_topic',
  parameters: '$1 topic',
  text: sql`
    select
      s.pattern,
      q.*
    from holdfast.subscriptions s
    cross join lateral (
      select
        ${activeColumns.join(',\n')}
      from holdfast.queues
      where id = s.queue_id
      limit 1
    ) q
    where s.topic = $1
    order by q.name`
}

async function findTopic(session: Session, topic: string): Promise<Subscription[] | null> {
  const rows = await session.query(findTopicStatement, [topic])
  return rows.length === 0 ? null : rows.map(row => ({ queue: queueOf(row), pattern: row.pattern }))
}

export const reportTopicStatement: Statement<{ queue: string; pattern: string }> = {
  name: 'report_topic',
  parameters: '$1 topic',
  text: sql`
    select
      q.name as queue,
      s.pattern
    from holdfast.subscriptions s
    join holdfast.queues q on q.id = s.queue_id
    where s.topic = $1
    order by q.name`
}

async function reportTopic(session: Session, topic: string): Promise<TopicReport | null> {
  const subscriptions = await session.query(reportTopicStatement, [topic])
  return subscriptions.length === 0 ? null : { topic, subscriptions }
}

export const listTopicsStatement: Statement<{ topic: string; subscriptions: number }> = {
  name: 'list_topics',
  parameters: '$1 after this topic · $2 page size · $3 names · $4 beginnings\n$5 a subscriber, or null',
  text: sql`
    select
      topic,
      count(*)::float8 as subscriptions
    from holdfast.subscriptions s
    where topic > $1
      and ${inScope('topic', '$3', '$4')}
      and (
        $5::text is null
        or exists (
          select from holdfast.subscriptions o
          where o.topic = s.topic
            and o.queue_id = (select id from holdfast.queues where name = $5)
        )
      )
    group by topic
    order by topic
    limit $2`
}

async function listTopics(
  session: Session,
  { after, limit, scope }: NamePage,
  queue: string | null
): Promise<{ topic: string; subscriptions: number }[]> {
  return await session.query(listTopicsStatement, [after, limit, scope.names, scope.prefixes, queue])
}

export const lockSubscriptionsStatement: Statement = {
  name: 'lock_subscriptions',
  text: sql`select pg_advisory_xact_lock(${lockKeys.subscribe})`
}

export const countSubscriptionsStatement: Statement<
  Record<'all' | 'mine' | 'topicAll' | 'topicMine', number> & { exists: boolean }
> = {
  name: 'count_subscriptions',
  parameters: '$1 topic · $2 queue · $3 id of a caller',
  text: sql`
    select
      exists (
        select
        from holdfast.subscriptions
        where topic = $1
          and queue_id = (select id from holdfast.queues where name = $2)
      ) as exists,
      count(*)::float8 as "all",
      (count(*) filter (where caller_id = $3))::float8 as mine,
      (count(*) filter (where topic = $1))::float8 as "topicAll",
      (count(*) filter (where topic = $1 and caller_id = $3))::float8 as "topicMine"
    from holdfast.subscriptions`
}

async function countSubscriptions(
  session: Session,
  topic: string,
  queue: string,
  callerId: string
): Promise<HeldSubscriptions> {
  await session.query(lockSubscriptionsStatement)
  const [row] = await session.query(countSubscriptionsStatement, [topic, queue, callerId])
  const { exists, all, mine, topicAll, topicMine } = row!
  return { exists, ofAll: { all, mine }, ofTopic: { all: topicAll, mine: topicMine } }
}

async function makeQueue(session: Session, name: string): Promise<void> {
  await session.query(createStatement, [name])
}

// The lock on the queue waits for a session that is deleting it.
export const putSubscriptionStatement: Statement<{ created: boolean; pattern: string }> = {
  name: 'put_subscription',
  parameters: '$1 topic · $2 queue · $3 pattern, null: as it is · $4 id of a caller',
  text: sql`
    with q as materialized (
      select id
      from holdfast.queues
      where name = $2
      for key share
    )
    insert into holdfast.subscriptions as s (topic, queue_id, pattern, caller_id)
    select $1, id, coalesce($3, '${patternDefault}'), $4
    from q
    on conflict (topic, queue_id) do update set pattern = coalesce($3, s.pattern)
    returning pattern, xmax = 0 as created`
}

async function putSubscription(
  session: Session,
  topic: string,
  queue: string,
  { pattern, callerId }: { pattern: string | null; callerId: string }
): Promise<{ created: boolean; pattern: string } | null> {
  const [row] = await session.query(putSubscriptionStatement, [topic, queue, pattern, callerId])
  return row ?? null
}

export const removeSubscriptionsStatement: Statement = {
  name: 'remove_subscriptions',
  parameters: '$1 topic · $2 queues',
  text: sql`
    delete from holdfast.subscriptions
    where topic = $1
      and queue_id in (select id from holdfast.queues where name = any($2::text[]))`
}

async function removeSubscriptions(session: Session, topic: string, queues: string[]): Promise<void> {
  await session.query(removeSubscriptionsStatement, [topic, queues])
}

async function removeSubscription(session: Session, topic: string, queue: string): Promise<void> {
  await removeSubscriptions(session, topic, [queue])
}

export const lockTopicStatement: Statement<{ queue: string }> = {
  name: 'lock_topic',
  parameters: '$1 topic',
  text: sql`
    select q.name as queue
    from holdfast.subscriptions s
    join holdfast.queues q on q.id = s.queue_id
    where s.topic = $1
    order by s.queue_id
    for update of s`
}

async function lockTopic(session: Session, topic: string): Promise<string[]> {
  const rows = await session.query(lockTopicStatement, [topic])
  return rows.map(({ queue }) => queue)
}

export const topicVerbs = {
  findTopic,
  reportTopic,
  listTopics,
  countSubscriptions,
  makeQueue,
  putSubscription,
  removeSubscription,
  lockTopic,
  removeSubscriptions
}
