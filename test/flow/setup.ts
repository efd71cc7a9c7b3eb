/** A service with queues of its own for each test, and the calls of these tests in short. */
import t from 'tap'
import { connect, freshDatabase } from '../support/postgres.ts'
import { service } from '../support/service.ts'

const database = await freshDatabase(t)
export const databaseUrl = database.url
export const holdfast = await service(t, { database })
export const sql = await connect(t, database.url)

let queues = 0

/** What a lease gives, as far as these tests look at it. */
export interface Leased {
  id: string
  receipt: string
  fence: number
  body: string
  group?: string
}

/** A new queue, with the calls of these tests. */
export async function queueWith(settings: object) {
  const name = `q${++queues}`
  const path = `/queues/${name}`
  await holdfast.call('PUT', path, settings)

  const settle = async (verb: string, body: object) => (await holdfast.post(`${path}/${verb}`, body)).body
  return {
    name,
    path,
    /** Enqueues `a1 b1 a2`: each word is a body, its letters the group. Answers the ids. */
    async put(words: string, options: object = {}): Promise<string[]> {
      const messages = words.split(' ').map(body => ({ body, group: body.replace(/\d+$/, ''), ...options }))
      const { body } = await holdfast.post(`${path}/messages`, { messages })
      return body.messages.map(({ id }: { id: string }) => id)
    },
    async lease(max = 1, options: object = {}): Promise<Leased[]> {
      return (await holdfast.post(`${path}/lease`, { max, leaseSeconds: 1000, ...options })).body.messages
    },
    ack: ({ receipt }: Leased) => settle('ack', { receipt }),
    fail: ({ receipt }: Leased, options: object = {}) =>
      settle('fail', { receipt, delaySeconds: 0, ...options }),
    release: ({ receipt }: Leased) => settle('release', { receipt }),
    /** The bodies of a lease, in their order. */
    async bodies(max = 1): Promise<string> {
      return (await this.lease(max)).map(({ body }) => body).join(' ')
    },
    /** Leases and acks until nothing is left, and answers the bodies in their order. */
    async drain(max = 1): Promise<string> {
      const bodies: string[] = []
      for (let leased = await this.lease(max); leased.length > 0; leased = await this.lease(max)) {
        bodies.push(...leased.map(({ body }) => body))
        await settle('ack', { receipts: leased.map(({ receipt }) => receipt) })
      }
      return bodies.join(' ')
    },
    /** Nothing is left behind: no row of a line, and no message. */
    async leftovers(): Promise<{ lines: number; messages: number }> {
      const { rows } = await sql.query(
        `select
          (select count(*)::int from holdfast.lines where queue_id = q.id) as lines,
          (select count(*)::int from holdfast.messages where queue_id = q.id) as messages
        from holdfast.queues q
        where name = $1`,
        [name]
      )
      return rows[0]
    }
  }
}

export type FlowQueue = Awaited<ReturnType<typeof queueWith>>

/** Ends the leases of these messages now: the sweeper does the rest. */
export async function endLeases({ name }: FlowQueue, ids: string[]): Promise<void> {
  await sql.query(
    `with aged as (
      update holdfast.messages m
      set leased_until = now() - interval '1 second'
      from holdfast.queues q
      where q.name = $1
        and m.queue_id = q.id
        and m.id = any($2::bigint[])
      returning m.lease_id
    )
    update holdfast.leases l
    set ends_at = now() - interval '1 second'
    where l.id in (select lease_id from aged)`,
    [name, ids]
  )
}
