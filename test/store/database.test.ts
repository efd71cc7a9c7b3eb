/** Who gets a connection when all of them are busy. */
import t from 'tap'
import { openDatabase, type Database } from '../../src/store/database.ts'
import { freshDatabase } from '../support/postgres.ts'

/** A pool of four connections, and a way to keep some of them busy. */
async function pool() {
  const { config } = await freshDatabase(t, { migrated: false })
  const database = openDatabase(config, { poolSize: 4, onError: () => {} })
  t.teardown(() => database.close())
  /** Keeps this many connections busy. Returns what frees them. */
  const busy = async (rank: Database, count: number) => {
    let release = () => {}
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    const all: Promise<unknown>[] = []
    for (let i = 0; i < count; i++) {
      await new Promise<void>(resolve =>
        all.push(
          rank.transaction(async () => {
            resolve()
            await held
          })
        )
      )
    }
    return async () => {
      release()
      await Promise.all(all)
    }
  }
  return { database, busy }
}

t.test('one connection is kept for calls that make room, and they go before all others', async t => {
  const { database, busy } = await pool()
  const [release, ...others] = [await busy(database, 1), await busy(database, 1), await busy(database, 1)]
  const order: string[] = []
  const last = database.last.query('select 1').then(() => order.push('last'))
  const usual = database.query('select 1').then(() => order.push('usual'))
  t.equal(database.usage.waiting, 2)
  await database.first.query('select 1')
  t.strictSame(order, [], 'the last connection is for the first rank only')
  const releaseFourth = await busy(database.first, 1)
  const first = database.first.query('select 1').then(() => order.push('first'))
  await release!()
  await first
  t.strictSame(order, ['first'], 'a free connection goes to the first rank')
  for (const release of others) await release()
  await Promise.all([last, usual])
  t.equal(database.usage.waiting, 0)
  await releaseFourth()
})

t.test('the last rank takes at most half of the connections', async t => {
  const { database, busy } = await pool()
  const release = await busy(database.last, 2)
  const third = database.last.query('select 1')
  t.equal(database.usage.waiting, 1)
  t.strictSame(await database.query('select 1 as value'), [{ value: 1 }])
  await release()
  await third
})

t.test('a wait for a connection is refused as overloaded after 3 s, and nothing leaks', async t => {
  const { database, busy } = await pool()
  const release = await busy(database.last, 2)
  const waiting = Array.from({ length: 200 }, () => database.last.query('select 1'))
  await t.rejects(database.last.query('select 1'), { code: 'overloaded', outcome: 'none' })
  const startedMs = performance.now()
  for (const { status } of await Promise.allSettled(waiting)) t.equal(status, 'rejected')
  t.ok(performance.now() - startedMs < 4000)
  t.equal(database.usage.waiting, 0)
  await release()
  t.strictSame(await database.last.query('select 1 as value'), [{ value: 1 }])
})

t.test('a script of several statements returns the rows of all of them', async t => {
  const { database } = await pool()
  t.strictSame(await database.script('begin; select 1 as a; commit; select 2 as b'), [{ a: 1 }, { b: 2 }])
})
