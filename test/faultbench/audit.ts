/** What the database has in the end, read past the service: rows for the checker, and counts against rows. */
import type { Cluster } from './cluster.ts'
import type { Audit, AuditedQueue } from './checker.ts'
import { printOf, tokenOf } from './history.ts'

const states = ['ready', 'delayed', 'leased', 'dead', 'acked']

export async function audit(cluster: Cluster, names: string[]): Promise<Audit> {
  return {
    queues: await Promise.all(names.map(name => auditQueue(cluster, name))),
    unbalanced: await unbalanced(cluster)
  }
}

async function auditQueue(cluster: Cluster, queue: string): Promise<AuditedQueue> {
  const rows = await cluster.sql(
    `
    select m.id, m.state, m.fence::int, m.attempt, coalesce(m.max_attempts, q.max_attempts) as max_attempts, m.body, m.body_bytes, m.content_type, m.headers
    from holdfast.queues q cross join lateral (
      select id, holdfast.state_of(visible_at, leased_until, dead_at) as state, fence, attempt, max_attempts, body, body_bytes, content_type, headers from holdfast.messages where queue_id = q.id
      union all select id, 'acked', fence, attempt, max_attempts, body, body_bytes, content_type, headers from holdfast.acked where queue_id = q.id
    ) m where q.name = $1`,
    [queue]
  )
  const history = await cluster.sql(
    `
    select h.message_id as id, h.fence::int, h.attempt, h.outcome from holdfast.history h join holdfast.queues q on q.id = h.queue_id where q.name = $1`,
    [queue]
  )
  const [{ kept }] = (await cluster.sql(
    'select keep_acked_seconds > 0 as kept from holdfast.queues where name = $1',
    [queue]
  )) as [{ kept: boolean }]
  const messages = rows.map(
    ({
      id,
      state,
      fence,
      attempt,
      max_attempts: maxAttempts,
      body,
      body_bytes: bytes,
      content_type: type,
      headers
    }) => {
      const sent = bytes ?? Buffer.from(body)
      return {
        id,
        state,
        fence,
        attempt,
        maxAttempts,
        token: tokenOf(sent),
        print: printOf(sent, type ?? 'application/json', headers ?? {})
      }
    }
  )
  return { queue, kept, messages, history: history as AuditedQueue['history'] }
}

/** Conservation, of every queue: the counts equal the rows, and all that was enqueued is accounted for. */
async function unbalanced(cluster: Cluster): Promise<string[]> {
  const rows = await cluster.sql(`
    select q.name, counted.*, there.*, enqueued_total - acked_total - expired_total - purged_total as left
    from holdfast.queues q cross join lateral (
      select ${[...states, 'enqueued_total', 'acked_total', 'expired_total', 'purged_total'].map(column => `sum(${column})::int as ` + `${column}`)}
      from (select * from holdfast.counts where queue_id = q.id union all select queue_id, ${countColumns} from holdfast.ledger where queue_id = q.id) c
    ) counted cross join lateral (
      select ${states.map(state => `count(*) filter (where state = '${state}')::int as ${state}_rows`)} from (
        select holdfast.state_of(visible_at, leased_until, dead_at) as state from holdfast.messages where queue_id = q.id
        union all select 'acked' from holdfast.acked where queue_id = q.id
      ) m
    ) there`)
  return rows.flatMap(row => [
    ...states
      .filter(state => row[state] !== row[`${state}_rows`])
      .map(state => `${row.name} counts ${row[state]} ${state} and has ${row[`${state}_rows`]}`),
    ...(row.left === row.ready_rows + row.delayed_rows + row.leased_rows + row.dead_rows
      ? []
      : [
          `${row.name}: of ${row.enqueued_total} enqueued ${row.left} should be left, and ` +
            `${row.ready_rows + row.delayed_rows + row.leased_rows + row.dead_rows} are`
        ])
  ])
}

const countColumns = [
  ...states,
  'enqueued_total',
  'leased_total',
  'acked_total',
  'failed_total',
  'lapsed_total',
  'released_total',
  'dead_total',
  'redriven_total',
  'expired_total',
  'purged_total'
].join(', ')
