/** The example of an effect that counts exactly once, while everything is killed. */
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import t from 'tap'
import { pollPause } from '../support/pollPause.ts'
import { freshServer } from '../support/postgres.ts'
import { serviceProcess } from '../support/service.ts'
import { listen, read, start, type Running } from './setup.ts'

t.test('each order is booked exactly once, whatever is killed', async t => {
  const server = await freshServer(t)
  const startReplica = () =>
    serviceProcess(t, { HOLDFAST_DATABASE_URL: server.url, HOLDFAST_LOG_LEVEL: 'silent' })
  let replica = await startReplica()
  // The examples know one address, and each new replica has another.
  const front = await listen(t, async (request, reply) => {
    const { body, headers } = await read(request, ['content-type', 'idempotency-key'])
    const answer = await replica.call(request.method!, request.url!, body, headers).catch(() => null)
    if (answer === null) return reply.destroy()
    return reply.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.text)
  })
  const env = { QUEUE_URL: `${front}/queues/bookings`, DATABASE_URL: server.url }
  const examples = new Map<string, Running>()
  /** Starts the example in a role, and kills the one that has had it. */
  const restart = (name: string, role: 'relay' | 'work') => {
    examples.get(name)?.child.kill('SIGKILL')
    const command = [process.execPath, 'docs/examples/typescript/exactly_once.ts', role]
    examples.set(name, start(t, command, env))
  }
  restart('the relay', 'relay')
  restart('a worker', 'work')
  restart('the other worker', 'work')

  /** Asks the database until it answers, whatever goes away meanwhile. */
  const ask = async (text: string, values: unknown[] = []): Promise<any[]> => {
    for (const untilMs = Date.now() + 60_000; ;) {
      const session = await connect(server.url).catch(() => null)
      try {
        if (session !== null) return (await session.query(text, values)).rows
      } catch (error) {
        if (Date.now() > untilMs) throw error
      } finally {
        await session?.end().catch(() => {})
      }
    }
  }
  const booked = async (): Promise<number> => {
    const [row] = await ask(`
      select count(*)::int as booked
      from bookings
      where to_regclass('bookings') is not null`)
    return row.booked
  }
  const kills: Record<string, () => unknown> = {
    'a worker': () => restart('a worker', 'work'),
    'the relay': () => restart('the relay', 'relay'),
    'every session': () =>
      ask(
        `
        select pg_terminate_backend(pid)
        from pg_stat_activity
        where pid <> pg_backend_pid() and backend_type = $1`,
        ['client backend']
      ),
    'the service': async () => {
      replica.child.kill('SIGKILL')
      replica = await startReplica()
    },
    PostgreSQL: () => process.kill(server.pid, 'SIGKILL'),
    'the other worker': () => restart('the other worker', 'work')
  }
  while ((await ask("select to_regclass('bookings') as made"))[0].made === null) await pollPause()
  let orders = 0
  for (const [what, kill] of Object.entries(kills)) {
    const before = await booked()
    await ask(
      `
      insert into outbox (body)
      select json_build_object($1::text, $2::int + n)
      from generate_series(1, 24) as n`,
      ['order', orders]
    )
    orders += 24
    while ((await booked()) < before + 5) await pollPause()
    await kill()
    t.comment(`killed ${what}, ${await booked()} of ${orders} booked`)
  }
  while ((await booked()) < orders || (await ask('select 1 from outbox limit 1')).length > 0) {
    await pollPause()
  }
  const repeated = await ask(`
    select order_id, count(*)::int as times
    from bookings
    group by order_id
    having count(*) <> 1`)
  t.strictSame(repeated, [], 'no order was booked twice')
  const [distinct] = await ask('select count(distinct order_id)::int as orders from bookings')
  t.equal(distinct.orders, orders, 'every order was booked')

  const [, audit] = /```sql\n([^`]*)```/.exec(await readFile('docs/guarantees.md', 'utf8'))!
  t.strictSame(await ask(audit!), [], 'the audit accounts for every message')
  await ask('insert into holdfast.ledger (queue_id, enqueued_total) select id, 1 from holdfast.queues')
  t.equal((await ask(audit!)).length, 1, 'and it would report a missing one')
})

async function connect(url: string): Promise<pg.Client> {
  const session = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5000,
    query_timeout: 10_000
  })
  session.on('error', () => {})
  await session.connect()
  return session
}
