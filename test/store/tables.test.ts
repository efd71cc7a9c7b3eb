/** The tables of facts in core agree with what the migrations have made of them. */
import t from 'tap'
import { states, totalNames } from '../../src/core/counters.ts'
import { messageBytesMax } from '../../src/core/limits.ts'
import { options } from '../../src/core/options.ts'
import { settingPaths } from '../../src/core/settings.ts'
import type { Row } from '../../src/core/table.ts'
import { findStatement } from '../../src/store/verbs/queues.ts'
import { connect, freshDatabase } from '../support/postgres.ts'

const client = await connect(t, (await freshDatabase(t)).url)

async function columnsOf(table: string): Promise<string[]> {
  const { rows } = await client.query(
    `select column_name from information_schema.columns
     where table_schema = 'holdfast' and table_name = $1
     order by ordinal_position`,
    [table]
  )
  return rows.map(row => row.column_name)
}

t.test('a new queue has the default of every setting, and a setting has every column', async t => {
  const {
    rows: [queue]
  } = await client.query("insert into holdfast.queues (name) values ('q') returning *")
  for (const { path, column, default: value } of settingPaths) {
    t.strictSame(queue[column], value, path.join('.'))
  }
  // takes_turns follows from the settings, and front is for the other protocols.
  const others = ['id', 'name', 'created_at', 'updated_at', 'takes_turns', 'front']
  t.strictSame(
    (await columnsOf('queues')).sort(),
    [...settingPaths.map(({ column }) => column), ...others].sort()
  )
})

t.test('what each process remembers of a queue holds no long note of a front', async t => {
  const front = { Front: 'sqs', Policy: 'x'.repeat(8192), Empty: '' }
  await client.query('insert into holdfast.queues (name, front) values ($1, $2)', ['noted', front])
  const { rows } = await client.query(findStatement.text, ['noted'])
  t.strictSame(rows[0].front, { Front: 'sqs', Empty: '' })
})

t.test('the ledger and the counts have a column for each state and each total', async t => {
  const counters = [...states, ...totalNames.map(name => `${name}_total`)]
  t.strictSame(await columnsOf('ledger'), ['id', 'queue_id', ...counters])
  t.strictSame(await columnsOf('counts'), ['queue_id', ...counters])
})

/** The outcome of an enqueue in SQL, undone again: `taken`, or the refusal. */
async function enqueue(option: Record<string, unknown>, body = '1'): Promise<string> {
  await client.query('begin')
  try {
    await client.query("select holdfast.enqueue('q', $1::json, $2)", [body, JSON.stringify(option)])
    return 'taken'
  } catch (error) {
    return (error as Error).message
  } finally {
    await client.query('rollback')
  }
}

/** Values that a row takes, and values just beyond them. */
function edgesOf(row: Row): { taken: unknown[]; refused: unknown[] } {
  switch (row.type) {
    case 'number':
    case 'integer': {
      // In SQL a time to live begins at a millisecond.
      const least = row.min ?? 0.001
      const step = row.type === 'integer' ? 1 : 0.001
      const fractions = row.type === 'integer' ? [least + 0.5] : []
      return { taken: [least, row.max], refused: [least - step, row.max + step, ...fractions, 'x'] }
    }
    case 'time':
      return { taken: [new Date().toISOString()], refused: ['tomorrow', 5] }
    case 'text': {
      const charsMax = Number(/,(\d+)\}/.exec(row.pattern)![1])
      const strange = new RegExp(row.pattern, 'u').test('ü') ? '\u0001' : 'ü'
      return { taken: ['k', 'k'.repeat(charsMax)], refused: ['', 'k'.repeat(charsMax + 1), strange, 5] }
    }
    default:
      throw new Error(`No edges for a ${row.type}.`)
  }
}

t.test('holdfast.enqueue has the options and the bounds of an enqueue over HTTP', async t => {
  for (const [name, row] of Object.entries(options)) {
    const { taken, refused } = edgesOf(row)
    for (const value of taken) t.equal(await enqueue({ [name]: value }), 'taken', `${name}: ${value}`)
    for (const value of refused) {
      t.match(await enqueue({ [name]: value }), `invalidRequest: ${name} must be`, `${name}: ${value}`)
    }
  }
  t.match(await enqueue({ surprise: 1 }), 'invalidRequest: surprise is not a known option')
})

t.test('holdfast.enqueue takes a body as large as one over HTTP', async t => {
  t.equal(await enqueue({}, `"${'x'.repeat(messageBytesMax - 2)}"`), 'taken')
  t.match(await enqueue({}, `"${'x'.repeat(messageBytesMax - 1)}"`), `larger than ${messageBytesMax} bytes`)
})
