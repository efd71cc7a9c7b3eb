/** How long one look for a page may take, whatever the database makes of it. */
import t, { type Test } from 'tap'
import { openDatabase } from '../../src/store/database.ts'
import type { Session } from '../../src/store/statement.ts'
import { browse } from '../../src/store/verbs/browse.ts'
import { service, type Client } from '../support/service.ts'

/** A queue with these lists of messages, and a session of its database. */
async function filled(t: Test, holdfast: Client & { databaseUrl: string }, ...lists: object[][]) {
  for (const messages of lists) await holdfast.post('/queues/mail/messages', { messages })
  const database = openDatabase(
    { connectionString: holdfast.databaseUrl },
    { poolSize: 1, onError: () => {} }
  )
  t.teardown(() => database.close())
  const [queue] = await database.query<{ id: string }>('select id::text as id from holdfast.queues')
  return { queueId: queue!.id, database }
}

const bodyFilter = (contains: string) => ({
  contains,
  reason: null,
  enqueuedAfter: null,
  enqueuedBefore: null,
  group: null
})

t.test('a look for a piece that is almost found at every byte is not much slower than others', async t => {
  const holdfast = await service(t)
  const { queueId, database } = await filled(t, holdfast, Array(6).fill({ body: 'a'.repeat(1_000_000) }))
  const msOf = async (piece: string) => {
    let best = Infinity
    for (let round = 0; round < 3; round++) {
      const startedMs = performance.now()
      const asked = { state: null, where: bodyFilter(piece), after: '0', limit: 10 }
      const examined = { messages: 6, bytes: 6_000_012 }
      t.strictSame(await browse(database, queueId, asked, 1e6), { messages: [], cursor: null, examined })
      best = Math.min(best, performance.now() - startedMs)
    }
    return best
  }
  const usual = await msOf('needle')
  for (const piece of [
    `b${'a'.repeat(199)}`,
    `${'a'.repeat(199)}b`,
    `${'a'.repeat(99)}b${'a'.repeat(100)}`
  ]) {
    const ms = await msOf(piece)
    t.ok(ms < 5 * usual + 50, `${ms.toFixed(1)} ms, ${usual.toFixed(1)} ms for another piece`)
  }
})

t.test('a look that has taken a second ends its page after the step, with a cursor', async t => {
  const holdfast = await service(t)
  const { queueId, database } = await filled(t, holdfast, ...Array(7).fill(Array(1000).fill({ body: 'hay' })))

  /** Looks where each step takes so long. Answers how many steps there were, and the cursor. */
  const look = async (stepMs: number) => {
    let [nowMs, steps] = [0, 0]
    const session: Session = {
      async query(statement, values) {
        nowMs += stepMs
        steps++
        return await database.query(statement, values)
      }
    }
    const { cursor } = await browse(
      session,
      queueId,
      { state: null, where: bodyFilter('needle'), after: '0', limit: 10 },
      1e6,
      () => nowMs
    )
    return { steps, ended: cursor === null }
  }
  t.strictSame(await look(1), { steps: 4, ended: true })
  t.strictSame(await look(600), { steps: 2, ended: false })
  t.strictSame(await look(1001), { steps: 1, ended: false }, 'a first step there always is')
})
