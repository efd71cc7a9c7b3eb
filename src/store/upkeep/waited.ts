/** The queues that callers wait for, in which messages may be leased. */
import { unfolded } from '../ledger.ts'
import { allowed, tokensOf, withLimits } from '../leaseLimits.ts'
import { sql, type Statement } from '../statement.ts'

/** Those of the queues that have ready messages which may be leased, and how many may. */
export const withReady: Statement<{ queue_id: number; ready: string }> = {
  name: 'queues_with_ready',
  parameters: '$1 queue ids',
  text: sql`
    select w.queue_id, w.ready
    from (
      select
        c.queue_id,
        ${allowed(
          'c.ready + t.ready',
          'q.max_leased - c.leased - t.leased',
          tokensOf('q', 'l', 'clock_timestamp()')
        )} as ready
      from holdfast.counts c
      cross join lateral (select * from holdfast.queues where id = c.queue_id limit 1) q
      ${withLimits('c.queue_id')}
      ${unfolded(['ready', 'leased'], 'c.queue_id')}
      where c.queue_id = any($1::integer[])
    ) w
    where w.ready > 0`
}
