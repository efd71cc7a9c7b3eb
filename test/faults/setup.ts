/** What the tests of faults share: sessions, waits for what must have begun, and a load. */
import pg from 'pg'
import type { Test } from 'tap'
import { pollPause } from '../support/pollPause.ts'
import { connect } from '../support/postgres.ts'
import type { Client } from '../support/service.ts'

export { connect }

/** Waits until `count` calls wait at this replica for a message. */
export async function untilWaiting(replica: Pick<Client, 'get'>, count: number): Promise<void> {
  while (!(await replica.get('/metrics')).text.includes(`\nholdfast_waiting_calls ${count}\n`)) {
    await pollPause()
  }
}

/** Waits until so many sessions wait for a lock. */
export async function untilBlocked(sql: pg.Client, count = 1): Promise<void> {
  const blocked = `
    select from pg_stat_activity
    where wait_event_type = 'Lock' and datname = current_database()`
  while ((await sql.query(blocked)).rowCount! < count) await pollPause()
}

export const msSince = (startedMs: number) => Math.round(performance.now() - startedMs)

/**
 * Eight callers that enqueue and two that ack, until they are told to stop. It keeps what was
 * confirmed, and how calls were refused.
 */
export function load(holdfast: Pick<Client, 'post'>, queue: string) {
  const confirmed: string[] = []
  const acked = new Set<string>()
  /** An ack was sent whose answer never came. */
  const unsure = new Set<string>()
  const refusals = new Set<string>()
  /** What must not happen. */
  const faults: unknown[] = []
  let slowestRefusalMs = 0
  const stopping = new AbortController()
  let bodies = 0

  /** Null when the connection was lost or the call refused: not confirmed. */
  const call = async (verb: string, payload: object, status: number) => {
    const startedMs = performance.now()
    const answer = await holdfast.post(`/queues/${queue}/${verb}`, payload).catch(() => null)
    if (answer === null || answer.status === status) return answer
    refusals.add(answer.body.code)
    slowestRefusalMs = Math.max(slowestRefusalMs, performance.now() - startedMs)
    const isHonest =
      answer.status === 503 &&
      ['none', 'unknown'].includes(answer.body.outcome) &&
      answer.headers.get('retry-after') !== null
    if (!isHonest) faults.push(answer.text)
    return null
  }

  const produce = async () => {
    while (!stopping.signal.aborted) {
      const answer = await call('messages', { body: ++bodies }, 201)
      if (answer !== null) confirmed.push(answer.body.id)
    }
  }

  const consume = async () => {
    // The first enqueue makes the queue.
    while (confirmed.length === 0 && !stopping.signal.aborted) await pollPause()
    while (!stopping.signal.aborted) {
      const leased = (await call('lease', { max: 3 }, 200))?.body.messages ?? []
      const ids = leased.map(({ id }: { id: string }) => id)
      for (const id of ids) if (acked.has(id)) faults.push(`${id} was leased after its ack`)
      if (ids.length === 0) continue
      const receipts = leased.map(({ receipt }: { receipt: string }) => receipt)
      const answer = await call('ack', { receipts }, 200)
      for (const [index, id] of ids.entries()) {
        if (answer === null) unsure.add(id)
        else if (answer.body.outcomes[index].outcome === 'acked') acked.add(id)
        else faults.push(answer.body.outcomes[index])
      }
    }
  }

  const callers = [...Array.from({ length: 8 }, produce), consume(), consume()]
  return {
    confirmed,
    acked,
    unsure,
    refusals,
    get slowestRefusalMs() {
      return slowestRefusalMs
    },
    async reaching(count: number) {
      while (confirmed.length < count) await pollPause()
    },
    async stop() {
      stopping.abort()
      await Promise.all(callers)
    },
    /**
     * A confirmed message is stored unless it was acked, an acked message is not, and the ledger
     * equals the rows.
     */
    async kept(t: Test, url: string) {
      const client = await connect(t, url)
      const stored = await storedIds(client, queue)
      t.strictSame(
        confirmed.filter(id => !stored.has(id) && !acked.has(id) && !unsure.has(id)),
        [],
        `all of ${confirmed.length} confirmed messages are there`
      )
      t.strictSame(
        [...acked].filter(id => stored.has(id)),
        [],
        `none of ${acked.size} acked messages is back`
      )
      t.ok(acked.size > 10)
      t.equal(await leftByLedger(client, queue), stored.size, 'the ledger equals the rows')
      t.strictSame(faults, [])
    }
  }
}

async function storedIds(client: pg.Client, queue: string): Promise<Set<string>> {
  const { rows } = await client.query(
    `
    select m.id
    from holdfast.messages m
    join holdfast.queues q on q.id = m.queue_id
    where q.name = $1`,
    [queue]
  )
  return new Set(rows.map(({ id }) => id))
}

async function leftByLedger(client: pg.Client, queue: string): Promise<number> {
  const { rows } = await client.query(
    `
    select sum(enqueued_total - acked_total)::int as left
    from (
      select queue_id, enqueued_total, acked_total from holdfast.counts
      union all
      select queue_id, enqueued_total, acked_total from holdfast.ledger
    ) c
    join holdfast.queues q on q.id = c.queue_id
    where q.name = $1`,
    [queue]
  )
  return rows[0].left
}
