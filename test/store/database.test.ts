/** Who gets a connection when all of them are busy, and what is said when one is lost. */
import t from 'tap'
import { QueueError } from '../../src/core/errors.ts'
import { openDatabase, type Database } from '../../src/store/database.ts'
import type { Session } from '../../src/store/statement.ts'
import { freshDatabase } from '../support/postgres.ts'

/** A pool of four connections, and `busy`, which uses some of them until it is released. */
async function pool() {
  const { config } = await freshDatabase(t, { migrated: false })
  const database = openDatabase(config, { poolSize: 4, onError: () => {} })
  t.teardown(() => database.close())
  const busy = async (which: Database, count: number) => {
    let release = () => {}
    const held = new Promise<void>(resolve => {
      release = resolve
    })
    const all: Promise<unknown>[] = []
    for (let i = 0; i < count; i++) {
      await new Promise<void>(resolve =>
        all.push(
          which.transaction(async () => {
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

t.test('one connection is kept for the first rank, and the first rank goes before all that wait', async t => {
  const { database, busy } = await pool()
  const [release, ...others] = [await busy(database, 1), await busy(database, 1), await busy(database, 1)]
  const order: string[] = []
  const looks = database.last.query('select 1').then(() => order.push('last'))
  const usual = database.query('select 1').then(() => order.push('usual'))
  t.equal(database.usage.waiting, 2)
  await database.first.query('select 1')
  t.strictSame(order, [], 'the way is free for the first rank alone')
  const releaseFourth = await busy(database.first, 1)
  const first = database.first.query('select 1').then(() => order.push('first'))
  await release!()
  await first
  t.strictSame(order, ['first'], 'of the one that is free again')
  for (const release of others) await release()
  await Promise.all([looks, usual])
  t.equal(database.usage.waiting, 0)
  await releaseFourth()
})

t.test('the last rank has at most half of the connections', async t => {
  const { database, busy } = await pool()
  const release = await busy(database.last, 2)
  const third = database.last.query('select 1')
  t.equal(database.usage.waiting, 1)
  t.strictSame(await database.query('select 1 as one'), [{ one: 1 }])
  await release()
  await third
})

t.test(
  'callers are refused with overloaded after three seconds, or when too many wait, and nothing leaks',
  async t => {
    const { database, busy } = await pool()
    const release = await busy(database.last, 2)
    const waiting = Array.from({ length: 200 }, () => database.last.query('select 1'))
    await t.rejects(database.last.query('select 1'), { code: 'overloaded', outcome: 'none' })
    const startedMs = performance.now()
    for (const { status } of await Promise.allSettled(waiting)) t.equal(status, 'rejected')
    t.ok(performance.now() - startedMs < 4000)
    t.equal(database.usage.waiting, 0)
    await release()
    t.strictSame(await database.last.query('select 1 as one'), [{ one: 1 }])
  }
)

t.test('a script of several statements answers the rows of all of them', async t => {
  const { database } = await pool()
  t.strictSame(await database.script('begin; select 1 as a; commit; select 2 as b'), [{ a: 1 }, { b: 2 }])
})

t.test('an error of the work itself costs no connection', async t => {
  const { database, busy } = await pool()
  const backends = async () => {
    const release = await busy(database.first, 3)
    const [row] = await database.first.query<{ pids: number[] }>(
      'select array_agg(pid order by pid) as pids from pg_stat_activity where datname = current_database()'
    )
    await release()
    return row!.pids
  }
  const before = await backends()
  t.equal(before.length, 4)
  const work = async (session: { query: Database['query'] }) => {
    await session.query('select 1')
    throw new Error('of our own')
  }
  await t.rejects(database.transaction(work), { message: 'of our own' })
  t.strictSame(await backends(), before)
  // Other tests have databases on this server too.
  const open = await database.query(`
    select pid
    from pg_stat_activity
    where state = 'idle in transaction' and datname = current_database()`)
  t.strictSame(open, [])
})

t.test('a commit that frees its locks early answers when it is on the disk', async t => {
  const { database } = await pool()
  await database.script(`
    create table public.noted (setting text);
    create table public.written (n integer);
    create function public.note() returns trigger language plpgsql as $$
    begin
      insert into public.noted values (current_setting('synchronous_commit'));
      return null;
    end
    $$;
    create constraint trigger at_commit after insert on public.written
    deferrable initially deferred
    for each row execute function public.note()`)
  const write = (early: boolean) =>
    database.transaction(async session => {
      if (early) session.freeLocksEarly()
      await session.query('insert into public.written values (1)')
      const [row] = await session.query<{ at: string }>('select pg_current_wal_insert_lsn()::text as at')
      return row!.at
    })
  for (const early of [true, false]) {
    const at = await write(early)
    const [row] = await database.query('select pg_current_wal_flush_lsn() > $1::pg_lsn as flushed', [at])
    t.strictSame(row, { flushed: true })
  }
  t.strictSame(await database.query('select setting from public.noted'), [
    { setting: 'off' },
    { setting: 'on' }
  ])
})

/** Ends the session that runs a transaction, as a restart of the database does. */
async function end(database: Database, session: Session): Promise<void> {
  const [row] = await session.query<{ pid: number }>('select pg_backend_pid() as pid')
  await database.query('select pg_terminate_backend($1, 5000)', [row!.pid])
}

t.test('a connection that is lost before the commit has changed nothing, and callers are told', async t => {
  const { database } = await pool()
  await t.rejects(
    database.transaction(async session => {
      await end(database, session)
      await session.query('select 1')
    }),
    { code: 'databaseUnavailable', outcome: 'none' }
  )
  await t.rejects(
    database.transaction(session => end(database, session)),
    { code: 'outcomeUnknown', outcome: 'unknown' },
    'the commit had been sent'
  )
  t.strictSame(await database.query('select 1 as one'), [{ one: 1 }])
})

t.test('a refusal is answered although its connection is lost before the rollback', async t => {
  const { database } = await pool()
  const refusal = new QueueError('queueNotEmpty', 'The queue holds messages.')
  await t.rejects(
    database.transaction(async session => {
      await end(database, session)
      throw refusal
    }),
    refusal
  )
  t.strictSame(await database.query('select 1 as one'), [{ one: 1 }])
})
