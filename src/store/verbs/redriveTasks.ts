/**
 * Redrives that keep to a rate. A step takes a task that is due, redrives some messages and writes
 * that into the task, all in one transaction. So any number of replicas may drive, and one that dies
 * leaves a task as its last commit did.
 */
import { freeStates } from '../../core/counters.ts'
import { noLimit, type Digits, type Filter } from '../../core/message.ts'
import type { Driven, OnRedriven, RedriveKind, RedriveTask, RedriveWanted } from '../../core/redrive.ts'
import { isLasting } from '../databaseErrors.ts'
import { sql, type Session, type Statement } from '../statement.ts'
import { lastIdStatement } from './bulk.ts'
import { redriveIds } from './redrive.ts'
import { chunk, nextAfter, redrivable, search } from './search.ts'

/** Between the steps of a task, unless it is behind its rate. */
const pauseMs = 200
/** Tasks of a queue that are listed, the last ones. */
const listedMax = 100

export const startStatement: Statement<{ task: Digits }> = {
  name: 'start_redrive',
  parameters: [
    '$1 queue id · $2 name of the queue to send them to, null: home',
    '$3 ids and filter, as JSON · $4 how many, null: all · $5 messages a second · $6 last id · $7 kind',
    '$8 caller'
  ].join('\n'),
  text: sql`
    insert into holdfast.redrives (
      queue_id,
      destination,
      selection,
      wanted,
      rate,
      last_id,
      kind,
      caller_id,
      paid_to,
      next_at,
      started_at
    )
    select
      id,
      $2,
      $3::jsonb,
      $4,
      $5,
      $6,
      $7,
      $8,
      statement_timestamp() - make_interval(secs => 1 / $5::float8),
      statement_timestamp(),
      statement_timestamp()
    from holdfast.queues
    where id = $1
    on conflict (queue_id) where state = 'running' do nothing
    returning id::text as task`
}

/** null: the queue has one that runs, or is gone. */
async function startRedrive(
  session: Session,
  queueId: Digits,
  callerId: string,
  { selection: { ids, where, limit }, to, ratePerSecond, kind }: RedriveWanted
): Promise<Digits | null> {
  const [newest] = await session.query(lastIdStatement)
  const [row] = await session.query(startStatement, [
    queueId,
    to,
    JSON.stringify({ ids, where }),
    limit >= noLimit ? null : limit,
    ratePerSecond,
    newest!.last_value,
    kind,
    callerId
  ])
  return row?.task ?? null
}

export const listRedrivesStatement: Statement<RedriveTask> = {
  name: 'list_redrives',
  parameters: '$1 queue id',
  text: sql`
    select
      id::text as task,
      destination as "to",
      rate as "ratePerSecond",
      redriven::float8 as redriven,
      state,
      failure,
      started_at as "startedAt"
    from holdfast.redrives
    where queue_id = $1
    order by id desc
    limit ${listedMax}`
}

/** The last tasks of a queue, the newest first. */
async function listRedrives(session: Session, queueId: Digits): Promise<RedriveTask[]> {
  return await session.query(listRedrivesStatement, [queueId])
}

export const stopStatement: Statement = {
  name: 'stop_redrive',
  parameters: '$1 queue id · $2 task',
  text: sql`
    update holdfast.redrives
    set
      state = case when state = 'running' then 'stopped' else state end,
      ended_at = coalesce(ended_at, clock_timestamp())
    where queue_id = $1
      and id = $2
    returning 1`
}

/** False when the queue has no such task. */
async function stopRedrive(session: Session, queueId: Digits, task: Digits): Promise<boolean> {
  return (await session.query(stopStatement, [queueId, task])).length > 0
}

// One look-up for each caller, so a caller with many tasks hides no other.
export const callersDueStatement: Statement<{ caller: string }> = {
  name: 'redrive_callers_due',
  text: sql`
    with recursive callers as (
      (
        select caller_id, next_at
        from holdfast.redrives
        where state = 'running'
        order by caller_id, next_at
        limit 1
      )
      union all
      select following.caller_id, following.next_at
      from callers
      cross join lateral (
        select caller_id, next_at
        from holdfast.redrives
        where state = 'running'
          and caller_id > callers.caller_id
        order by caller_id, next_at
        limit 1
      ) following
    )
    select caller_id as caller
    from callers
    where next_at <= statement_timestamp()
    order by next_at, caller_id`
}

/** The callers that have tasks which are due. The one whose task waits longest comes first. */
async function redriveCallersDue(session: Session): Promise<string[]> {
  return (await session.query(callersDueStatement)).map(({ caller }) => caller)
}

interface TakenRow {
  id: Digits
  queue_id: number
  destination: string | null
  kind: RedriveKind
  ids: Digits[] | null
  where: Filter | null
  after_id: Digits
  last_id: Digits
  /** How many messages the rate and the call allow in this step. */
  allowed: number
}

// Beyond a second, what was missed of the rate is not made up for. At least one message is due.
export const takeStatement: Statement<TakenRow> = {
  name: 'take_redrive',
  parameters: '$1 caller',
  text: sql`
    select
      id,
      queue_id,
      destination,
      kind,
      selection->'ids' as ids,
      selection->'where' as where,
      after_id,
      last_id,
      least(
        greatest(1, floor(rate * least(1, extract(epoch from statement_timestamp() - paid_to)))),
        coalesce(wanted - redriven, ${chunk}),
        ${chunk}
      )::float8 as allowed
    from holdfast.redrives
    where state = 'running'
      and caller_id = $1
      and next_at <= statement_timestamp()
    order by next_at
    limit 1
    for update skip locked`
}

export const moveOnStatement: Statement = {
  name: 'move_redrive_on',
  parameters: [
    '$1 task · $2 redriven · $3 examined up to this id, null: all · $4 pause in seconds',
    '$5 why it has failed, or null'
  ].join('\n'),
  text: sql`
    update holdfast.redrives
    set
      redriven = redriven + $2,
      after_id = coalesce($3, last_id),
      paid_to = paid.up_to,
      next_at = greatest(
        case when $2 > 0 then paid.up_to + make_interval(secs => 1 / rate) else statement_timestamp() end,
        statement_timestamp() + make_interval(secs => $4)
      ),
      state = case
        when $5::text is not null then 'failed'
        when $3 is null or redriven + $2 >= wanted then 'done'
        else state
      end,
      failure = $5,
      ended_at = case
        when $5 is not null or $3 is null or redriven + $2 >= wanted then clock_timestamp()
      end
    from (
      select
        id as paid_id,
        greatest(paid_to, statement_timestamp() - make_interval(secs => greatest(1, 1 / rate)))
          + make_interval(secs => $2 / rate) as up_to
      from holdfast.redrives
      where id = $1
    ) paid
    where id = $1`
}

interface Stop {
  id: Digits
  failure: RedriveTask['failure']
}

// The queues are locked, so none is deleted before the commit.
export const stopOfMoveStatement: Statement<Stop> = {
  name: 'stop_of_move',
  parameters: '$1 queue id · $2 message ids · $3 name of the queue to send them to, null: home',
  text: sql`
    with sent as materialized (
      select
        m.id,
        coalesce($3::text, m.origin->>'queue') as target
      from holdfast.messages m
      where m.queue_id = $1
        and m.id = any($2::bigint[])
        and m.leased_until is null
        and ($3 is not null or m.origin is not null or m.dead_at is null)
    ), standing as materialized (
      select q.name
      from holdfast.queues q
      where q.name = any(array(select target from sent))
      order by q.id
      for key share
    )
    select
      id,
      case when target is null then 'originUnknown' else 'queueNotFound' end as failure
    from sent
    where target is null
      or not exists (select from standing where name = target)
    order by id
    limit 1`
}

/** One step of a task of this caller that is due. null: none is free. Needs a transaction. */
async function driveRedrive(
  session: Session,
  callerId: string,
  onRedriven: OnRedriven
): Promise<Driven | null> {
  const [task] = await session.query(takeStatement, [callerId])
  if (task === undefined) return null
  await session.query('savepoint step')
  try {
    await drive(session, task, onRedriven)
    return { refusal: null }
  } catch (refusal) {
    if (!isLasting(refusal)) throw refusal
    // It would be refused for ever, and keep all tasks behind it waiting.
    await session.query('rollback to savepoint step')
    await session.query(moveOnStatement, [task.id, 0, task.after_id, 0, 'refused'])
    return { refusal }
  }
}

async function drive(session: Session, task: TakenRow, onRedriven: OnRedriven): Promise<void> {
  const queueId = String(task.queue_id)
  const { ids, where, destination, kind, allowed } = task
  const states = kind === 'move' ? freeStates : redrivable
  const step = { after: task.after_id, last: task.last_id }
  const found = await search(session, queueId, { states, where, ids }, step)
  const taken = found.ids.slice(0, allowed)
  const [stop] =
    kind === 'move' && taken.length > 0
      ? await session.query(stopOfMoveStatement, [queueId, taken, destination])
      : []
  const sent = stop === undefined ? taken : taken.slice(0, taken.indexOf(stop.id))
  const redriven =
    sent.length === 0 ? 0 : await redriveIds(session, queueId, sent, { to: destination, kind }, onRedriven)
  const next = nextAfter(found, taken)
  const isBehind = taken.length < allowed || allowed === chunk
  const pause = isBehind ? 0 : pauseMs / 1000
  await session.query(moveOnStatement, [task.id, redriven, next, pause, stop?.failure])
}

export const nextRedriveStatement: Statement<{ ms: number | null }> = {
  name: 'next_redrive',
  text: sql`
    select (extract(epoch from min(next_at) - clock_timestamp()) * 1000)::float8 as ms
    from holdfast.redrives
    where state = 'running'`
}

/** How long until a task is due, on the database's clock. Infinity: none is. */
async function msUntilRedrive(session: Session): Promise<number> {
  const [row] = await session.query(nextRedriveStatement)
  return row!.ms ?? Infinity
}

export const redriveTaskVerbs = {
  startRedrive,
  listRedrives,
  stopRedrive,
  redriveCallersDue,
  driveRedrive,
  msUntilRedrive
}
