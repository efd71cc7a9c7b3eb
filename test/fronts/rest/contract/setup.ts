/**
 * A real service over a real PostgreSQL, for the promises of the REST contract. Tests age rows
 * instead of sleeping. Each test file imports this once, so it has its own service.
 */
import pg from 'pg'
import t from 'tap'
import { service } from '../../../support/service.ts'

export const holdfast = await service(t)
/** Straight to the tables. */
export const sql = new pg.Client(holdfast.databaseUrl)
await sql.connect()
t.teardown(() => sql.end())

let queuesMade = 0

/** A new queue, and its verbs. */
export async function queue(settings: object = {}) {
  const name = `q${++queuesMade}`
  const path = `/queues/${name}`
  await holdfast.call('PUT', path, settings)
  return {
    name,
    path,
    report: async () => (await holdfast.get(path)).body,
    put: (change: object) => holdfast.call('PUT', path, change),
    enqueue: (message: object | string, headers?: Record<string, string>) =>
      holdfast.post(`${path}/messages`, message, headers),
    /** Enqueues one message, and returns its id. */
    id: async (message: object): Promise<string> =>
      (await holdfast.post(`${path}/messages`, message)).body.id,
    /** Leases, and returns the messages. */
    lease: async (request: object = {}): Promise<any[]> =>
      (await holdfast.post(`${path}/lease`, request)).body.messages,
    /** Leases, and returns the bodies. */
    leaseBodies: async (request: object = {}): Promise<unknown[]> => {
      const { messages } = (await holdfast.post(`${path}/lease`, request)).body
      return messages.map(({ body }: { body: unknown }) => body)
    },
    settle: (verb: string, body: object) => holdfast.post(`${path}/${verb}`, body),
    /** Settles one leased message, and returns the body of the answer. */
    outcome: async (verb: string, { receipt }: { receipt: string }, options: object = {}) =>
      (await holdfast.post(`${path}/${verb}`, { receipt, ...options })).body,
    message: (id: string) => holdfast.get(`${path}/messages/${id}`),
    age: (seconds: number) => age(name, seconds)
  }
}

/** Moves every time of the queue's messages back, as if this many seconds had passed. */
async function age(name: string, seconds: number): Promise<void> {
  const { rows } = await sql.query('select id from holdfast.queues where name = $1', [name])
  await sql.query(
    `
    update holdfast.messages
    set leased_until = leased_until - make_interval(secs => $2),
      visible_at = visible_at - make_interval(secs => $2),
      expires_at = expires_at - make_interval(secs => $2)
    where queue_id = $1`,
    [rows[0].id, seconds]
  )
  await sql.query(
    `
    update holdfast.leases
    set ends_at = ends_at - make_interval(secs => $2)
    where queue_id = $1`,
    [rows[0].id, seconds]
  )
}
