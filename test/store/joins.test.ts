/**
 * Plans are made once for each connection, often while the tables are empty. PostgreSQL then takes
 * every list for one row, and may compare two lists row by row. For 12,000 leases that end together
 * that was 144 million comparisons and 15 seconds, which the statement does not get.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { listMax } from '../../src/core/limits.ts'
import { formatReceipt } from '../../src/core/receipt.ts'
import { openDatabase } from '../../src/store/database.ts'
import { overview } from '../../src/store/verbs/overview.ts'
import { pollPause } from '../support/pollPause.ts'
import { connect, freshServer } from '../support/postgres.ts'
import { service } from '../support/service.ts'

/** Lists of one request may be compared with each other. */
const comparedMax = listMax ** 2
/** Rows of a table, so that a list compared with all of them is above the bound. */
const rowsBeside = 20_000

interface Plan {
  'Rows Removed by Join Filter'?: number
  'Actual Loops'?: number
  Plans?: Plan[]
}

/** How many pairs of rows the joins of a plan have compared in vain. */
const comparedBy = ({ Plans = [], ...plan }: Plan): number =>
  (plan['Rows Removed by Join Filter'] ?? 0) * (plan['Actual Loops'] ?? 1) +
  Plans.reduce((sum, child) => sum + comparedBy(child), 0)

/** What auto_explain has written into a server's log: each statement with its plan. */
async function plansIn(dataDir: string): Promise<{ text: string; compared: number }[]> {
  const log = await readFile(join(dataDir, 'postgres.log'), 'utf8')
  return log
    .split(/^.*LOG: {2}duration: .* plan:\n/m)
    .slice(1)
    .map(entry => JSON.parse(/^(?:\t.*\n)+/.exec(entry)![0]))
    .map(entry => ({ text: entry['Query Text'], compared: comparedBy(entry.Plan) }))
}

t.test(
  'long lists are not compared row by row by plans that were made while the tables were empty',
  async t => {
    const { url, dataDir } = await freshServer(t)
    const sql = await connect(t, url)
    const before = await service(t, { database: { url } })
    await before.call('PUT', '/queues/q')
    await before.stop()
    // The settings of a database hold for the sessions that begin from now on.
    for (const [setting, value] of Object.entries({
      session_preload_libraries: 'auto_explain',
      'auto_explain.log_min_duration': '0',
      'auto_explain.log_analyze': 'on',
      'auto_explain.log_timing': 'off',
      'auto_explain.log_format': 'json'
    })) {
      await sql.query(`alter database ${sql.database} set ${setting} = '${value}'`)
    }
    await sql.query('analyze')
    const holdfast = await service(t, { database: { url }, env: { HOLDFAST_POOL_SIZE: '2' } })
    const database = openDatabase({ connectionString: url }, { poolSize: 1, onError: () => {} })
    t.teardown(() => database.close())
    const post = async (path: string, body: object) => {
      const { status, text, body: answer } = await holdfast.post(`/queues/q${path}`, body)
      t.ok(status < 300, `${path} ${status < 300 ? '' : text}`)
      return answer
    }
    const report = async () => {
      await holdfast.get('/queues')
      await holdfast.get('/metrics')
      await overview(database)
    }
    const { rows } = await sql.query("select id from holdfast.queues where name = 'q'")
    const gone = formatReceipt('q', { queueId: rows[0].id, id: '1', fence: '1' })

    // Each connection makes its plans.
    for (let time = 0; time < 4; time++) {
      await Promise.all([
        post('/lease', {}),
        post('/release', { receipts: [gone] }),
        post('/fail', { failures: [{ receipt: gone }] }),
        report()
      ])
    }
    await sql.query(`
    with made as (
      insert into holdfast.queues (name)
      select 'beside' || n
      from generate_series(1, ${rowsBeside}) n
      returning id
    )
    insert into holdfast.counts (queue_id)
    select id
    from made`)
    await sql.query(`
    insert into holdfast.leases (id, ends_at, leased_at, queue_id, message_ids, fences, workers, holders)
    select -n, now() + interval '1 h', now(), 0, '{1}', '{1}', '{w}', '{1}'
    from generate_series(1, ${rowsBeside}) n`)
    await report()
    for (const verb of ['release', 'fail']) {
      await post('/messages', { messages: Array(listMax).fill({ body: 1 }) })
      const { messages } = await post('/lease', { max: listMax })
      const receipts: string[] = messages.map(({ receipt }: { receipt: string }) => receipt)
      await post(
        `/${verb}`,
        verb === 'fail' ? { failures: receipts.map(receipt => ({ receipt })) } : { receipts }
      )
    }
    await post('/purge', {})
    for (let time = 0; time < 12; time++) {
      await post('/messages', { messages: Array(listMax).fill({ body: 1 }) })
      await post('/lease', { max: listMax, leaseSeconds: 600 })
    }
    await sql.query(`
    with ended as (
      update holdfast.leases
      set ends_at = statement_timestamp()
      where id > 0
    )
    update holdfast.messages
    set leased_until = statement_timestamp()`)
    const isSwept = async () => (await holdfast.get('/queues/q')).body.counts.leased === 0
    while (!(await isSwept())) await pollPause()

    const worst = new Map<string, number>()
    for (const { text, compared } of await plansIn(dataDir)) {
      worst.set(text, Math.max(compared, worst.get(text) ?? 0))
    }
    t.ok(worst.size > 50, `${worst.size} statements`)
    t.strictSame(
      [...worst].filter(([, compared]) => compared > comparedMax),
      [],
      'none compared more pairs of rows'
    )
  }
)
