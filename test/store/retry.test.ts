/** The retry curve of core/retry.ts, computed here, and what a fail in PostgreSQL does. */
import t from 'tap'
import { answerBytesMax } from '../../src/core/limits.ts'
import { doublingsMax } from '../../src/core/retry.ts'
import type { Retry } from '../../src/core/settings.ts'
import { openDatabase } from '../../src/store/database.ts'
import { ScanHints } from '../../src/store/upkeep/scanHints.ts'
import { enqueue } from '../../src/store/verbs/enqueue.ts'
import { lease } from '../../src/store/verbs/lease.ts'
import { putQueue } from '../../src/store/verbs/putQueue.ts'
import { findQueue } from '../../src/store/verbs/queues.ts'
import { fail } from '../../src/store/verbs/settle.ts'
import { bareMessage } from '../support/bareMessage.ts'
import { freshDatabase } from '../support/postgres.ts'

const attempts = [1, 2, 3, 4, 10, 13, 59, 60, 61, 62, 100, 999]
/** How many first delays a failed message waits after so many further attempts. */
const growthOf: Record<Retry['strategy'], (further: number) => number> = {
  exponential: further => 2 ** Math.min(further, doublingsMax),
  linear: further => 1 + further,
  fixed: () => 1
}
const strategies = Object.keys(growthOf) as Retry['strategy'][]

/** The delay after this attempt, 1 being the first, without jitter. */
const retryDelaySeconds = ({ strategy, delaySeconds, maxDelaySeconds }: Retry, attempt: number) =>
  Math.min(maxDelaySeconds, delaySeconds * growthOf[strategy](attempt - 1))

/** The second doubles to its end; a longer first delay would pass the last possible time. */
const delays = [
  { delaySeconds: 1.5, maxDelaySeconds: 3600 },
  { delaySeconds: 2 ** -52, maxDelaySeconds: 1e6 },
  { delaySeconds: 0, maxDelaySeconds: 3600 },
  { delaySeconds: 60, maxDelaySeconds: 30 }
]

const message = { ...bareMessage, maxAttempts: 1000 }

t.test('a failed message waits for as long as the retry curve of core says, at every attempt', async t => {
  const { url } = await freshDatabase(t)
  const database = openDatabase({ connectionString: url }, { poolSize: 2, onError: () => {} })
  t.teardown(() => database.close())

  /** Fails one message at each of the attempts, and answers how long each then waits. */
  async function delaysOf(retry: Retry): Promise<{ attempt: number; seconds: number }[]> {
    const name = `${retry.strategy}-${retry.delaySeconds}-${retry.jitter}`.replace(/[^\w.-]/g, '')
    await putQueue(database, name, { retry })
    const queueId = (await findQueue(database, name))!.id
    const stored = await enqueue(
      database,
      attempts.map(() => ({ ...message, queueId }))
    )
    for (const [index, attempt] of attempts.entries()) {
      const id = stored[index]!.id
      await database.query('update holdfast.messages set attempt = $3 where queue_id = $1 and id = $2', [
        queueId,
        id,
        attempt - 1
      ])
    }
    const asks = [{ max: attempts.length, leaseSeconds: 60, worker: 'w', idempotencyKey: null }]
    const { rows } = await lease(database, new ScanHints(), queueId, { asks, bytesMax: answerBytesMax })
    const failures = rows.map(({ id, fence }) => ({
      id,
      fence,
      reason: null,
      delaySeconds: null,
      dead: false
    }))
    t.equal((await fail(database, queueId, failures)).rows.length, attempts.length)
    return await database.query(
      `select
        h.attempt,
        coalesce(extract(epoch from m.visible_at - h.ended_at), 0)::float8 as seconds
      from holdfast.history h
      join holdfast.messages m on m.queue_id = h.queue_id and m.id = h.message_id
      where h.queue_id = $1
      order by h.attempt`,
      [queueId]
    )
  }

  for (const strategy of strategies) {
    for (const delay of delays) {
      const retry = { strategy, ...delay, jitter: false }
      const expected = attempts.map(attempt => ({
        attempt,
        seconds: Math.round(retryDelaySeconds(retry, attempt) * 1e6) / 1e6
      }))
      t.strictSame(await delaysOf(retry), expected, JSON.stringify(retry))
    }
  }

  const jittery = { strategy: 'linear', delaySeconds: 10, maxDelaySeconds: 50, jitter: true } as const
  for (const { attempt, seconds } of await delaysOf(jittery)) {
    const base = retryDelaySeconds(jittery, attempt)
    t.ok(seconds >= base && seconds <= Math.min(50, 2 * base), `jitter: ${seconds} s at attempt ${attempt}`)
  }
})
