/** The row of limits that each queue with limits has. */
import type { BeginStandstill } from '../../core/engine/standstills.ts'
import { groupLimits, limitSettings } from '../../core/leaseLimits.ts'
import type { SettingsChange } from '../../core/settings.ts'
import { hasLimits } from '../leaseLimits.ts'
import { statementMsMax } from '../sessionSettings.ts'
import { sql, type Session, type Statement } from '../statement.ts'

export const addLimitsStatement: Statement = {
  name: 'add_limits',
  parameters: '$1 name',
  text: sql`
    insert into holdfast.limits (queue_id)
    select id
    from holdfast.queues
    where name = $1
      and ${hasLimits('queues')}
    on conflict (queue_id) do nothing`
}

// While the queue had no limits, its leases were not counted here. A rate that is new begins with its
// burst. Of one that has changed, the tokens stay.
export const changeLimitsStatement: Statement = {
  name: 'change_limits',
  parameters: '$1 name',
  text: sql`
    update holdfast.limits l
    set
      leased_most = null,
      tokens = case when q.rate is not null then l.tokens end
    from (select id, rate from holdfast.queues where name = $1) q
    where l.queue_id = q.id`
}

// Everybody may be waiting, where these limits are the first per group. Then each statement has had little
// time so far.
export const takeTimeStatement: Statement = {
  name: 'take_time',
  text: `set local statement_timeout = ${statementMsMax}`
}

/** Groups whose rates are remembered: from so many on, a change takes everybody's time. */
const quickLinesMax = 1000

export const manyRatesStatement: Statement<{ many: boolean }> = {
  name: 'many_rates',
  parameters: '$1 name',
  text: sql`
    select exists (
      select
      from holdfast.line_rates
      where queue_id = (select id from holdfast.queues where name = $1)
      offset ${quickLinesMax}
    ) as many`
}

export const changeLineLimitsStatement: Statement = {
  name: 'change_line_limits',
  parameters: '$1 name',
  slow: true,
  text: sql`
    select holdfast.change_line_limits(id)
    from holdfast.queues
    where name = $1`
}

/**
 * Makes the limits of a queue agree with its settings, which have just been changed. `begin` is called
 * before a change that takes long.
 */
export async function keepLimits(
  session: Session,
  name: string,
  change: SettingsChange,
  begin: BeginStandstill
): Promise<void> {
  if (!limitSettings.some(setting => setting in change)) return
  await session.query(takeTimeStatement)
  await session.query(addLimitsStatement, [name])
  await session.query(changeLimitsStatement, [name])
  if (!groupLimits.some(setting => setting in change)) return
  const [rates] = await session.query(manyRatesStatement, [name])
  if (rates!.many) begin()
  await session.query(changeLineLimitsStatement, [name])
}
