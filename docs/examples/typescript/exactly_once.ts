/**
 * An effect that counts exactly once, whatever is killed: orders come in, and each is booked once.
 *
 *     node docs/examples/typescript/exactly_once.ts relay    # carries the outbox to the queue
 *     node docs/examples/typescript/exactly_once.ts work     # books what it leases
 *
 * DATABASE_URL is the database that the application shares with Holdfast. QUEUE_URL names the queue
 * (default http://127.0.0.1:8080/queues/bookings). HOLDFAST_KEY is an API key, where the service
 * asks for one.
 *
 * Into the queue: the transaction that takes an order also writes a row into the outbox. The relay
 * enqueues it, with the id of the row as the idempotency key, and removes the row after the 2xx. A
 * relay that is killed in between enqueues again, and the key makes that the same message.
 *
 * Out of the queue: the booking and holdfast.ack are one transaction. A worker that comes too late,
 * or dies before its commit, has booked nothing.
 *
 * Where application and Holdfast do not share a database, keep a table of message ids beside the
 * effect. Write to it in the transaction of the effect (`insert … on conflict do nothing`), and ack
 * after the commit.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'

const queue = process.env.QUEUE_URL ?? 'http://127.0.0.1:8080/queues/bookings'
const key = process.env.HOLDFAST_KEY
const tables = `
  create table if not exists outbox (
    id bigint generated always as identity primary key,
    body json not null
  );
  create table if not exists bookings (
    order_id bigint not null,
    booked_at timestamptz not null default now()
  )`

async function post(path: string, body: object, headers: Record<string, string> = {}): Promise<any> {
  const response = await fetch(`${queue}/${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
      ...headers
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(30_000)
  })
  if (!response.ok) throw new Error(await response.text())
  return await response.json()
}

const roles: Record<string, (client: pg.Client) => Promise<void>> = {
  async relay(client) {
    const { rows } = await client.query('select id, body from outbox order by id limit 100')
    for (const { id, body } of rows) {
      await post('messages', { body }, { 'idempotency-key': `outbox-${id}` })
      await client.query('delete from outbox where id = $1', [id])
    }
    if (rows.length === 0) await sleep(50)
  },

  async work(client) {
    const { messages } = await post('lease', { waitSeconds: 5, leaseSeconds: 5 })
    for (const { receipt, body } of messages) {
      await client.query('begin')
      await client.query('insert into bookings (order_id) values ($1)', [body.order])
      await client.query('select holdfast.ack($1)', [receipt]) // raises when the lease is lost
      await client.query('commit')
      process.stdout.write(`booked ${body.order}\n`)
    }
  }
}

const role = roles[process.argv[2] ?? '']
if (role === undefined) throw new Error('Say relay or work.')
for (;;) {
  const client = new pg.Client(process.env.DATABASE_URL)
  client.on('error', () => {}) // the running query reports it
  try {
    await client.connect()
    await client.query("set lock_timeout = '5s'; select pg_advisory_lock(1)")
    await client.query(tables)
    await client.query('select pg_advisory_unlock(1)')
    for (;;) await role(client)
  } catch (error) {
    process.stderr.write(`starting again: ${(error as Error).message}\n`)
    await sleep(200)
  } finally {
    await client.end().catch(() => {}) // rolls back an open transaction
  }
}
