/** Which queues the metrics show when there are more than they hold, and what the console leaves out. */
import pg from 'pg'
import t from 'tap'
import { metricsQueuesMax, overviewQueuesMax } from '../../src/core/limits.ts'
import { openDatabase } from '../../src/store/database.ts'
import { overview } from '../../src/store/verbs/overview.ts'
import { queueTotals } from '../../src/store/verbs/totals.ts'
import { service } from '../support/service.ts'

const holdfast = await service(t)
const sql = new pg.Client(holdfast.databaseUrl)
await sql.connect()
const database = openDatabase({ connectionString: holdfast.databaseUrl }, { poolSize: 1, onError: () => {} })
t.teardown(() => Promise.all([sql.end(), database.close()]))

/** Makes queues as an enqueue would, each with one message that is counted. */
const makeActive = (prefix: string, count: number) =>
  sql.query(
    `
    with made as (
      insert into holdfast.queues (name)
      select $1 || n
      from generate_series(1, $2) n
      returning id
    ), auto as (
      insert into holdfast.auto_queues (queue_id, caller_id)
      select id, 'a' from made
    )
    insert into holdfast.counts (queue_id, ready, enqueued_total)
    select id, 1, 1 from made`,
    [prefix, count]
  )
const shown = async () => {
  const { queues, leftOut } = await queueTotals(database)
  return { names: new Set(queues.map(({ queue }) => queue)), leftOut }
}

t.test(
  'a thousand new queues push no active queue out of the metrics, and leave out a stable rest',
  async t => {
    for (const name of ['old', 'idle']) await holdfast.call('PUT', `/queues/${name}`)
    await makeActive('auto-', 1)
    await sql.query(`
    update holdfast.counts
    set ready = 1
    where queue_id = (select id from holdfast.queues where name = 'old')`)
    await makeActive('0-', 1050)
    await holdfast.call('PUT', '/queues/late')
    await sql.query(`
    update holdfast.counts
    set dead = 1
    where queue_id = (select id from holdfast.queues where name = 'late')`)
    const { names, leftOut } = await shown()
    t.equal(names.size, metricsQueuesMax)
    t.equal(leftOut, 1054 - metricsQueuesMax)
    for (const name of ['old', 'auto-1', 'late', '0-1']) t.ok(names.has(name), name)
    t.notOk(names.has('idle'), 'a queue that is empty and at rest goes first')
    t.notOk(names.has('0-1050'), 'then the newest that an enqueue made')

    await sql.query('update holdfast.counts set ready = ready + 5 where queue_id % 3 = 0')
    t.strictSame((await shown()).names, names, 'messages that come and go change nothing')
    const text = (await holdfast.get('/metrics')).text
    t.match(text, /^holdfast_queues_left_out 54$/m)
    t.match(text, /^holdfast_messages\{queue="late",state="dead"\} 1$/m)
  }
)

t.test('a queue that was emptied less than an hour ago stays on the page', async t => {
  const id = "(select id from holdfast.queues where name = 'old')"
  await sql.query(`update holdfast.counts set ready = 0 where queue_id = ${id}`)
  t.notOk((await shown()).names.has('old'))
  const movedAgo = (seconds: number) =>
    sql.query(`
      insert into holdfast.series
      select ${id}, extract(epoch from now())::integer - ${seconds}, 0, 0, 0, 0, 1, 1, 0`)
  await movedAgo(3700)
  t.notOk((await shown()).names.has('old'))
  await movedAgo(3000)
  t.ok((await shown()).names.has('old'))
})

t.test('the console’s list says how many queues it leaves out', async t => {
  const { leftOut } = await overview(database)
  t.equal(leftOut, 0)
  await makeActive('many-', overviewQueuesMax)
  const more = await overview(database)
  t.equal(more.rows.length, overviewQueuesMax)
  t.equal(more.leftOut, 1054)
})
