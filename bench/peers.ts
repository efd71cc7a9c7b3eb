/**
 * What Holdfast is measured against, each in a process of its own: `node bench/peers.ts
 * nothing|plain|pgboss|fauxqs [database url]`. All but fauxqs, which brings its own server, stand
 * behind the same Fastify and the same request schemas.
 */
import Fastify from 'fastify'
import { startFauxqs } from 'fauxqs'
import pg from 'pg'
import { PgBoss } from 'pg-boss'
import { Leased, LeaseRequest, Settle, SettleAnswer } from '../src/fronts/rest/contract/lease.ts'
import { EnqueueAnswer, Message, MessageList } from '../src/fronts/rest/contract/messages.ts'
import { QueueParams } from '../src/fronts/rest/contract/shapes.ts'

export type PeerName = 'nothing' | 'plain' | 'pgboss' | 'fauxqs'

interface Peer {
  /** Stores the bodies; their ids. */
  enqueue(queue: string, bodies: unknown[]): Promise<string[]>
  lease(queue: string, max: number): Promise<{ id: string; body: unknown; attempt: number }[]>
  ack(queue: string, ids: string[]): Promise<unknown>
}

/** The ceiling: what HTTP, the framework and the schemas cost by themselves. */
const nothing: Peer = {
  enqueue: async (_, bodies) => bodies.map(() => '1'),
  lease: async () => [],
  ack: async () => {}
}

/** What one would write by hand: a table, and one statement per request. */
async function plain(url: string): Promise<Peer> {
  const pool = new pg.Pool({ connectionString: url, max: 20 })
  await pool.query(`
    create table if not exists plain (
      id bigint generated always as identity primary key, queue text not null, body jsonb not null,
      vt timestamptz not null default now(), read integer not null default 0
    );
    create index if not exists plain_in_order on plain (queue, id)`)
  return {
    async enqueue(queue, bodies) {
      const { rows } =
        bodies.length === 1
          ? await pool.query('insert into plain (queue, body) values ($1, $2) returning id', [
              queue,
              bodies[0]
            ])
          : await pool.query('insert into plain (queue, body) select $1, unnest($2::jsonb[]) returning id', [
              queue,
              bodies
            ])
      return rows.map(({ id }) => id)
    },
    async lease(queue, max) {
      const { rows } = await pool.query(
        "update plain set vt = now() + interval '30 s', read = read + 1 where id = any(array(select " +
          'id from plain where queue = $1 and vt <= now() order by id limit $2 for update skip ' +
          'locked)) returning id, body, read',
        [queue, max]
      )
      return rows.map(({ id, body, read }) => ({ id, body, attempt: read }))
    },
    ack: (_, ids) => pool.query('delete from plain where id = any($1)', [ids])
  }
}

async function pgBoss(url: string): Promise<Peer> {
  const boss = new PgBoss({ connectionString: url, max: 20 })
  boss.on('error', () => {})
  await boss.start()
  await boss.createQueue('bench')
  return {
    enqueue: async (queue, bodies) =>
      bodies.length === 1
        ? [(await boss.send(queue, bodies[0] as object))!]
        : (await boss.insert(
            queue,
            bodies.map(data => ({ data: data as object })),
            { returnId: true } as object
          ))!,
    lease: async (queue, max) =>
      (await boss.fetch(queue, { batchSize: max })).map(({ id, data }) => ({ id, body: data, attempt: 1 })),
    ack: (queue, ids) => boss.complete(queue, ids)
  }
}

async function serve(peer: Peer): Promise<number> {
  // or it would empty what the first schema of an anyOf does not know
  const app = Fastify({ ajv: { customOptions: { removeAdditional: false } } })
  app.post<{ Params: { queue: string }; Body: { body: unknown } }>(
    '/queues/:queue/messages',
    {
      schema: {
        params: QueueParams,
        body: { anyOf: [Message, MessageList] },
        response: { 201: EnqueueAnswer }
      }
    },
    async (request, reply) => {
      const list = (request.body as unknown as { messages?: { body: unknown }[] }).messages
      const ids = await peer.enqueue(
        request.params.queue,
        list?.map(({ body }) => body) ?? [request.body.body]
      )
      reply.code(201)
      return list === undefined ? { id: ids[0] } : { messages: ids.map(id => ({ id })) }
    }
  )
  app.post<{ Params: { queue: string }; Body: { max?: number } }>(
    '/queues/:queue/lease',
    {
      schema: { params: QueueParams, body: LeaseRequest, response: { 200: Leased } }
    },
    async request => {
      const messages = await peer.lease(request.params.queue, request.body.max ?? 1)
      const now = new Date().toISOString()
      return {
        messages: messages.map(({ id, body, attempt }) => ({
          id,
          receipt: id,
          fence: 1,
          attempt,
          maxAttempts: 5,
          body,
          contentType: 'application/json',
          headers: {},
          priority: 4,
          enqueuedAt: now,
          leaseExpiresAt: now
        }))
      }
    }
  )
  app.post<{ Params: { queue: string }; Body: { receipt?: string; receipts?: string[] } }>(
    '/queues/:queue/ack',
    {
      schema: {
        params: QueueParams,
        body: { anyOf: [Settle.ack.one, Settle.ack.many] },
        response: { 200: SettleAnswer }
      }
    },
    async request => {
      const { receipt, receipts = [receipt!] } = request.body
      await peer.ack(request.params.queue, receipts)
      return receipt === undefined
        ? { outcomes: receipts.map(receipt => ({ receipt, outcome: 'acked' })) }
        : { outcome: 'acked' }
    }
  )
  // A waiting call and nothing else: what ten thousand of them cost a process by themselves.
  app.post('/hold', (_request, reply) => {
    setTimeout(() => reply.send({ messages: [] }), 120_000)
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as { port: number }).port
}

/** An SQS server in memory. */
async function fauxqs(): Promise<number> {
  const server = await startFauxqs({ port: 0, host: '127.0.0.1', logger: false })
  server.createQueue('bench')
  return server.port
}

const [name, url = ''] = process.argv.slice(2)
const port =
  name === 'fauxqs'
    ? await fauxqs()
    : await serve(name === 'plain' ? await plain(url) : name === 'pgboss' ? await pgBoss(url) : nothing)
process.stdout.write(`serves on http://127.0.0.1:${port}, peer\n`)
process.once('SIGTERM', () => process.exit(0))
