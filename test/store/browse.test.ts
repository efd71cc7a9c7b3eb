/** How long one look for a page may take, whatever the database makes of it. */
import t from 'tap'
import { openDatabase } from '../../src/store/database.ts'
import type { Session } from '../../src/store/statement.ts'
import { browse } from '../../src/store/verbs/browse.ts'
import { service } from '../support/service.ts'

t.test('a look that has taken a second ends its page after the step, with a cursor', async t => {
  const holdfast = await service(t)
  const database = openDatabase(
    { connectionString: holdfast.databaseUrl },
    { poolSize: 1, onError: () => {} }
  )
  t.teardown(() => database.close())
  const messages = Array(1000).fill({ body: 'hay' })
  for (let list = 0; list < 7; list++) await holdfast.post('/queues/mail/messages', { messages })
  const [queue] = await database.query<{ id: string }>('select id::text as id from holdfast.queues')

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
    const where = { contains: 'needle', reason: null, enqueuedAfter: null, enqueuedBefore: null, group: null }
    const { cursor } = await browse(
      session,
      queue!.id,
      { state: null, where, after: '0', limit: 10 },
      1e6,
      () => nowMs
    )
    return { steps, ended: cursor === null }
  }
  t.strictSame(await look(1), { steps: 4, ended: true })
  t.strictSame(await look(600), { steps: 2, ended: false })
  t.strictSame(await look(1001), { steps: 1, ended: false }, 'a first step there always is')
})
