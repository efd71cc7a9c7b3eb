/**
 * What Holdfast is measured against, each in a process of its own:
 * `node bench/peers.ts nothing|plain|pgboss|fauxqs [database url]`. fauxqs brings a server of its
 * own. The others stand behind the Fastify and the request schemas that Holdfast has.
 */
import Fastify, { type FastifyInstance } from 'fastify'
import { startFauxqs } from 'fauxqs'
import pg from 'pg'
import { PgBoss } from 'pg-boss'
import { EnqueueAnswer, Message, MessageList } from '../src/fronts/rest/contract/enqueue.ts'
import { Leased, LeaseRequest } from '../src/fronts/rest/contract/lease.ts'
import { Settle, SettleAnswer } from '../src/fronts/rest/contract/settle.ts'
import { QueueParams } from '../src/fronts/rest/contract/shapes.ts'

export type PeerName = 'nothing' | 'plain' | 'pgboss' | 'fauxqs'

interface PeerMessage {
  id: string
  body: unknown
  attempt: number
}

interface Peer {
  /** Stores messages with these bodies. Returns their ids. */
  enqueue(queue: string, bodies: unknown[]): Promise<string[]>
  lease(queue: string, max: number): Promise<PeerMessage[]>
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
  await pool.query(plainTable)
  return {
    async enqueue(queue, bodies) {
      const { rows } =
        bodies.length === 1
          ? await pool.query<{ id: string }>(plainInsert, [queue, bodies[0]])
          : await pool.query<{ id: string }>(plainInsertMany, [queue, bodies])
      return rows.map(({ id }) => id)
    },
    async lease(queue, max) {
      const { rows } = await pool.query<PeerMessage>(plainLease, [queue, max])
      return rows
    },
    ack: (_, ids) => pool.query('delete from plain where id = any($1)', [ids])
  }
}

const plainTable = `
  create table if not exists plain (
    id bigint generated always as identity primary key,
    queue text not null,
    body jsonb not null,
    vt timestamptz not null default now(),
    read integer not null default 0
  );
  create index if not exists plain_in_order on plain (queue, id)`

const plainInsert = 'insert into plain (queue, body) values ($1, $2) returning id'

const plainInsertMany = 'insert into plain (queue, body) select $1, unnest($2::jsonb[]) returning id'

const plainLease = `
  update plain
  set vt = now() + interval '30 s', read = read + 1
  where id = any(array(
    select id
    from plain
    where queue = $1 and vt <= now()
    order by id
    limit $2
    for update skip locked
  ))
  returning id, body, read as attempt`

async function pgBoss(url: string): Promise<Peer> {
  const boss = new PgBoss({ connectionString: url, max: 20 })
  boss.on('error', () => {})
  await boss.start()
  await boss.createQueue('bench')
  return {
    async enqueue(queue, bodies) {
      if (bodies.length === 1) return [(await boss.send(queue, bodies[0] as object))!]
      const jobs = bodies.map(data => ({ data: data as object }))
      return (await boss.insert(queue, jobs, { returnId: true } as object))!
    },
    async lease(queue, max) {
      const jobs = await boss.fetch(queue, { batchSize: max })
      return jobs.map(({ id, data }) => ({ id, body: data, attempt: 1 }))
    },
    ack: (queue, ids) => boss.complete(queue, ids)
  }
}

async function serve(peer: Peer): Promise<number> {
  // By default, Ajv removes fields that the first schema of an anyOf does not know.
  const app = Fastify({ ajv: { customOptions: { removeAdditional: false, allowUnionTypes: true } } })
  enqueueRoute(app, peer)
  leaseRoute(app, peer)
  ackRoute(app, peer)
  // A waiting call and nothing else: what ten thousand of them cost a process by themselves.
  app.post('/hold', (_request, reply) => {
    setTimeout(() => reply.send({ messages: [] }), 120_000)
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as { port: number }).port
}

function enqueueRoute(app: FastifyInstance, peer: Peer): void {
  const schema = {
    params: QueueParams,
    body: { anyOf: [Message, MessageList] },
    response: { 201: EnqueueAnswer }
  }
  type Request = { body: unknown; messages?: { body: unknown }[] }
  app.post<{ Params: { queue: string }; Body: Request }>(
    '/queues/:queue/messages',
    { schema },
    async (request, reply) => {
      const { body, messages } = request.body
      const ids = await peer.enqueue(request.params.queue, messages?.map(({ body }) => body) ?? [body])
      reply.code(201)
      return messages === undefined ? { id: ids[0] } : { messages: ids.map(id => ({ id })) }
    }
  )
}

function leaseRoute(app: FastifyInstance, peer: Peer): void {
  const schema = { params: QueueParams, body: LeaseRequest, response: { 200: Leased } }
  app.post<{ Params: { queue: string }; Body: { max?: number } }>(
    '/queues/:queue/lease',
    { schema },
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
}

function ackRoute(app: FastifyInstance, peer: Peer): void {
  const schema = {
    params: QueueParams,
    body: { anyOf: [Settle.ack.one, Settle.ack.many] },
    response: { 200: SettleAnswer }
  }
  app.post<{ Params: { queue: string }; Body: { receipt?: string; receipts?: string[] } }>(
    '/queues/:queue/ack',
    { schema },
    async request => {
      const { receipt, receipts = [receipt!] } = request.body
      await peer.ack(request.params.queue, receipts)
      if (receipt !== undefined) return { outcome: 'acked' }
      return { outcomes: receipts.map(receipt => ({ receipt, outcome: 'acked' })) }
    }
  )
}

/** An SQS server in memory. */
async function fauxqs(): Promise<number> {
  const server = await startFauxqs({ port: 0, host: '127.0.0.1', logger: false })
  server.createQueue('bench')
  return server.port
}

const starts: Record<string, (url: string) => Promise<number>> = {
  nothing: () => serve(nothing),
  plain: async url => await serve(await plain(url)),
  pgboss: async url => await serve(await pgBoss(url)),
  fauxqs
}

const [name = '', url = ''] = process.argv.slice(2)
const port = await starts[name]!(url)
process.stdout.write(`serves on http://127.0.0.1:${port}, peer\n`)
process.once('SIGTERM', () => process.exit(0))
