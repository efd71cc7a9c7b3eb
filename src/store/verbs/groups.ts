/** The groups of a queue with lines: how many messages of each wait, and which one goes first. */
import { groupExaminedMax, groupsExaminedMax } from '../../core/limits.ts'
import type { Digits } from '../../core/message.ts'
import type { Group, GroupPage } from '../../core/groupPorts.ts'
import { openState } from '../fragments.ts'
import { nextTokenOfLineAt } from '../leaseLimits.ts'
import { sql, type Session, type Statement } from '../statement.ts'

// Where groups take turns, a message that is not ready holds up no other.
const goesFirst = sql`
  (e.turn_rank is not null and e.state <> 'ready'),
  e.turn_rank desc,
  e.place`

// A line whose rate is used up stands only among the rates.
const linesIn = (table: string) => sql`
  (
    select line
    from holdfast.${table}
    where queue_id = $1
      and line >= coalesce($2, '')
      and line is distinct from $2
    order by line
    limit ${groupsExaminedMax}
  )`

// A queue may remember the rates of a million groups without messages. So only some lines are
// examined for a page, and the page may be short. `examinedTo` is the last of them, if there may be more.
type GroupRow = { examinedTo: string | null } & ((Group & { line: string }) | { line: null })

export const groupsStatement: Statement<GroupRow> = {
  name: 'groups',
  parameters: '$1 queue id · $2 after this line · $3 groups on the page',
  slow: true,
  text: sql`
    with examined as materialized (
      select k.line
      from (
        ${['lines', 'line_rates'].map(linesIn).join('\nunion\n')}
      ) k
      order by k.line
      limit ${groupsExaminedMax}
    )
    select
      e.to as "examinedTo",
      g.line,
      nullif(g.line, '') as "group",
      c.waiting,
      c.leased,
      c.more,
      ${nextTokenOfLineAt('q', 'g.line')} as "nextTokenAt",
      f.first
    from (select * from holdfast.queues where id = $1) q
    cross join (
      select case when count(*) = ${groupsExaminedMax} then max(line) end as to
      from examined
    ) e
    left join (
      select k.line
      from (select line from examined order by line offset 0) k
      where exists (
        select from holdfast.messages m
        where m.queue_id = $1
          and m.line = k.line
      )
      order by k.line
      limit $3
    ) g on true
    left join lateral (
      select
        (count(*) filter (where e.state in ('ready', 'delayed')))::float8 as waiting,
        (count(*) filter (where e.state = 'leased'))::float8 as leased,
        count(*) = ${groupExaminedMax} as more,
        (array_agg(e.id order by ${goesFirst}) filter (where e.state <> 'dead'))[1] as first_id
      from (
        select
          m.id,
          m.place,
          m.turn_rank,
          ${openState} as state
        from holdfast.messages m
        where m.queue_id = $1
          and m.line = g.line
        order by m.place
        limit ${groupExaminedMax}
      ) e
    ) c on true
    left join lateral (
      select
        json_build_object(
          'id', m.id::text,
          'state', ${openState},
          'attempt', m.attempt,
          'until', holdfast.rfc3339(coalesce(m.leased_until, m.visible_at))
        ) as first
      from holdfast.messages m
      where m.queue_id = $1
        and m.id = c.first_id
      limit 1
    ) f on true
    order by g.line`
}

/** The next groups by name. `next` is null at the end. */
async function listGroups(
  session: Session,
  queueId: Digits,
  after: string | null,
  limit: number
): Promise<GroupPage> {
  const rows = await session.query(groupsStatement, [queueId, after, limit + 1])
  const found = rows.filter(row => row.line !== null)
  return {
    groups: found.slice(0, limit).map(({ line: _, examinedTo: __, ...group }) => group),
    next: found.length > limit ? found[limit - 1]!.line : (rows[0]?.examinedTo ?? null)
  }
}

export const groupVerbs = { listGroups }
