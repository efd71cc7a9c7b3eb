/** What the log says while the database goes on refusing: the cause, and not too often. */
import pg from 'pg'
import t from 'tap'
import { causeOf } from '../../../src/fronts/shared/faultLog.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { serviceProcess } from '../../support/service.ts'

const { url } = await freshDatabase(t)
const sql = new pg.Client(url)
await sql.connect()
t.teardown(() => sql.end())
const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: url })
await holdfast.post('/queues/q/messages', { body: 0 })

interface Line {
  time: number
  code?: string
  part?: string
  sqlState?: string
  cause?: string
  since?: number
}

const logged = (): Line[] =>
  holdfast
    .said()
    .split('\n')
    .slice(0, -1)
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line))

/** Lets every write to a table fail until `end`. */
async function refuse(table: string, sqlState: string): Promise<{ end: () => Promise<unknown> }> {
  await sql.query(`
    create or replace function public.refuse() returns trigger language plpgsql as $$
    begin
      raise exception 'refused with ${sqlState}' using errcode = '${sqlState}';
    end $$;
    create trigger refuse before insert or update on ${table} execute function public.refuse()`)
  return { end: () => sql.query(`drop trigger refuse on ${table}`) }
}

const passing = ['53100', '55000', '57014', '58030']
const lasting = ['54000', '42501', 'XX001']

for (const sqlState of [...passing, ...lasting]) {
  const status = passing.includes(sqlState) ? 503 : 500
  t.test(`requests that fail with SQLSTATE ${sqlState} log its cause once a second`, async t => {
    const { end } = await refuse('holdfast.messages', sqlState)
    const lines = () => logged().filter(line => line.sqlState === sqlState && line.code !== undefined)
    let calls = 0
    while (lines().length < 2) {
      calls++
      const { status: answered, text } = await holdfast.post('/queues/q/messages', { body: 1 })
      t.equal(answered, status)
      t.notMatch(text, 'refused with', 'the caller is not told')
    }
    await end()
    const [first, second] = lines() as [Line, Line]
    const code = status === 503 ? 'databaseUnavailable' : 'internal'
    t.match(first, { code, cause: `refused with ${sqlState}`, since: 1 })
    t.match(second, { code, cause: `refused with ${sqlState}` })
    t.ok(second.since! > 1 && second.since! < calls, `${second.since} of ${calls} calls`)
    t.ok(second.time - first.time >= 990, `${second.time - first.time} ms`)
  })
}

t.test('a part of the service that goes on failing logs the cause once a second', async t => {
  const { end } = await refuse('holdfast.counts', '55006')
  const lines = () => logged().filter(line => line.part === 'sweeper' && line.sqlState === '55006')
  while (lines().length < 3) await holdfast.get('/livez')
  t.match((await holdfast.get('/readyz')).body, { detail: /the log names the cause/ })
  await end()
  for (const line of lines()) t.equal(line.cause, 'refused with 55006')
  const times = lines().map(({ time }) => time)
  t.ok(
    times.every((time, n) => n === 0 || time - times[n - 1]! >= 990),
    times.join()
  )
})

t.test('the cause is the first of the errors behind one another', t => {
  const error = new Error('outer', { cause: new Error('middle', { cause: new Error('inner') }) })
  t.strictSame(causeOf(error), { cause: 'inner' })
  t.strictSame(causeOf(new AggregateError([new Error('connect ECONNREFUSED ::1:5432')])), {
    cause: 'connect ECONNREFUSED ::1:5432'
  })
  t.strictSame(causeOf(Object.assign(new Error('no'), { code: 'ECONNREFUSED' })), { cause: 'no' })
  t.strictSame(causeOf({ message: 'a copy of an error', code: '53100' }), {
    cause: 'a copy of an error',
    sqlState: '53100'
  })
  t.strictSame(causeOf('only words'), { cause: 'only words' })
  t.strictSame(causeOf(undefined), {})
  t.end()
})
