/** What the database holds at the end, read past the service: rows for the checker, and counts. */
import type { Cluster } from './cluster.ts'
import { printOf, tokenOf, type Audit, type AuditedQueue, type StoredMessage } from './history.ts'

const states = ['ready', 'delayed', 'leased', 'dead', 'acked']
/** Totals of messages that came to a queue, and of those that went. */
const came = ['enqueued_total', 'inherited_total', 'returned_total'] as const
const went = ['acked_total', 'expired_total', 'purged_total', 'buried_total', 'sent_total'] as const
const balanced = [...states, ...came, ...went]

export async function audit(cluster: Cluster, names: string[]): Promise<Audit> {
  return {
    queues: await Promise.all(names.map(name => auditQueue(cluster, name))),
    topics: await topics(cluster),
    unbalanced: await unbalanced(cluster)
  }
}

async function auditQueue(cluster: Cluster, queue: string): Promise<AuditedQueue> {
  const rows = await cluster.sql(
    `
    select
      m.id,
      m.state,
      m.fence::int,
      m.attempt,
      coalesce(m.max_attempts, q.max_attempts) as "maxAttempts",
      m.body,
      m.body_bytes as "bodyBytes",
      m.content_type as "contentType",
      m.headers
    from holdfast.queues q
    cross join lateral (
      select id, holdfast.state_of(visible_at, leased_until, dead_at) as state,
        fence, attempt, max_attempts, body, body_bytes, content_type, headers
      from holdfast.messages
      where queue_id = q.id
      union all
      select id, 'acked', fence, attempt, max_attempts, body, body_bytes, content_type, headers
      from holdfast.acked
      where queue_id = q.id
    ) m
    where q.name = $1`,
    [queue]
  )
  const history = await cluster.sql(
    `
    select h.message_id as id, h.fence::int, h.attempt, h.outcome
    from holdfast.history h
    join holdfast.queues q on q.id = h.queue_id
    where q.name = $1`,
    [queue]
  )
  const [settings] = (await cluster.sql(
    `
    select
      keep_acked_seconds > 0 as kept,
      dead_letter_queue is not null
        or exists (select from holdfast.queues where dead_letter_queue = q.name) as moves,
      exists (select from holdfast.pushes where queue_id = q.id) as pushed,
      ordering <> 'none' as ordered,
      max_leased as "maxLeased",
      case
        when rate is not null then json_build_object(
          'perSecond', (rate->'messages')::float8 / (rate->'perSeconds')::float8,
          'burst', coalesce(rate->'burst', rate->'messages')
        )
      end as rate
    from holdfast.queues q
    where name = $1`,
    [queue]
  )) as [Omit<AuditedQueue, 'queue' | 'messages' | 'history'>]
  const messages = rows.map(({ body, bodyBytes, contentType, headers, ...message }) => {
    const sent = bodyBytes ?? Buffer.from(body)
    return {
      ...message,
      token: tokenOf(sent),
      print: printOf(sent, contentType ?? 'application/json', headers ?? {})
    } as StoredMessage
  })
  return { queue, ...settings, messages, history: history as AuditedQueue['history'] }
}

async function topics(cluster: Cluster): Promise<string[][]> {
  const rows = await cluster.sql(`
    select array_agg(q.name order by q.name) as queues
    from holdfast.subscriptions s
    join holdfast.queues q on q.id = s.queue_id
    group by s.topic`)
  return rows.map(({ queues }) => queues)
}

/**
 * Conservation, of every queue: the counts equal the rows, and every enqueued message is accounted
 * for.
 */
async function unbalanced(cluster: Cluster): Promise<string[]> {
  const sums = balanced.map(column => `sum(${column})::int as ${column}`)
  const rowCounts = states.map(state => `count(*) filter (where state = '${state}')::int as ${state}_rows`)
  const rows = await cluster.sql(`
    select q.name, counted.*, stored.*
    from holdfast.queues q
    cross join lateral (
      select ${sums.join(', ')}
      from (
        select ${balanced.join(', ')} from holdfast.counts where queue_id = q.id
        union all
        select ${balanced.join(', ')} from holdfast.ledger where queue_id = q.id
      ) c
    ) counted
    cross join lateral (
      select ${rowCounts.join(', ')}
      from (
        select holdfast.state_of(visible_at, leased_until, dead_at) as state
        from holdfast.messages
        where queue_id = q.id
        union all
        select 'acked' from holdfast.acked where queue_id = q.id
      ) m
    ) stored`)
  return rows.flatMap(row => {
    const wrongStates = states
      .filter(state => row[state] !== row[`${state}_rows`])
      .map(state => `${row.name} counts ${row[state]} ${state} and has ${row[`${state}_rows`]}`)
    const sumOf = (totals: readonly (typeof came | typeof went)[number][]) =>
      totals.reduce((sum, total) => sum + row[total], 0)
    const expected = sumOf(came) - sumOf(went)
    const stored = row.ready_rows + row.delayed_rows + row.leased_rows + row.dead_rows
    if (expected === stored) return wrongStates
    return [
      ...wrongStates,
      `${row.name}: of ${sumOf(came)} that came ${expected} should be left, and ${stored} are`
    ]
  })
}
