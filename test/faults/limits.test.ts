/** Limits of queues on three replicas, while one after another is killed. */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { freshDatabase } from '../support/postgres.ts'
import { service, serviceProcess, type Client } from '../support/service.ts'
import { connect } from './setup.ts'

const kills = 3
const maxLeased = 20
const rate = { messages: 200, perSeconds: 1, burst: 40 }

t.test('maxLeased and rate hold on three replicas, of which one is killed again and again', async t => {
  const database = await freshDatabase(t)
  const env = { HOLDFAST_DATABASE_URL: database.url }
  const [first, second] = await Promise.all([service(t, { database }), service(t, { database })])
  const path = '/queues/limited'
  await first.call('PUT', path, {
    maxLeased,
    rate,
    leaseSeconds: 2,
    maxAttempts: null,
    retry: { delaySeconds: 0 }
  })
  await first.call('PUT', '/queues/other', { maxLeased, leaseSeconds: 2, maxAttempts: null })
  const stopping = new AbortController()
  const working = () => !stopping.signal.aborted

  const fill = async (queue: string) => {
    const messages = Array.from({ length: 500 }, (_, body) => ({ body }))
    for (let n = 0; n < 8; n++) await first.post(`${queue}/messages`, { messages })
  }
  await Promise.all([fill(path), fill('/queues/other')])

  /** Leases and settles, or forgets what it holds. Errors of a killed replica end it. */
  const consume = async (replica: Client, queue: string, n: number) => {
    let ack: string[] = []
    while (working()) {
      const answer = await replica.post(`${queue}/lease`, { max: 1 + (n % 5), waitSeconds: 1, ack })
      if (answer.status !== 200) break
      ack = answer.body.messages.map(({ receipt }: { receipt: string }) => receipt)
      if (n % 3 === 0 && Math.random() < 0.1) ack = []
    }
  }
  const crowd = (replica: Client) =>
    Promise.allSettled(
      Array.from({ length: 12 }, (_, n) => consume(replica, n % 2 ? path : '/queues/other', n))
    )
  const sql = await connect(t, database.url)
  const seen = { limited: 0, other: 0 }
  // In every time, the leases given are at most the burst and what came due in it.
  let [leastBefore, mostOver] = [Infinity, -Infinity]
  const watch = async () => {
    while (working()) {
      const { rows } = await sql.query(`
        select
          q.name,
          (
            select count(*)::int
            from holdfast.messages
            where queue_id = q.id and leased_until is not null
          ) as leased,
          (c.leased_total + (
            select coalesce(sum(l.leased_total), 0) from holdfast.ledger l where l.queue_id = q.id
          ))::int as given,
          extract(epoch from clock_timestamp())::float8 as at
        from holdfast.queues q
        join holdfast.counts c on c.queue_id = q.id`)
      for (const { name, leased, given, at } of rows as {
        name: keyof typeof seen
        leased: number
        given: number
        at: number
      }[]) {
        seen[name] = Math.max(seen[name], leased)
        if (name !== 'limited') continue
        const ahead = given - (rate.messages * at) / rate.perSeconds
        leastBefore = Math.min(leastBefore, ahead)
        mostOver = Math.max(mostOver, ahead - leastBefore - rate.burst)
      }
    }
  }
  const running = [watch(), crowd(first), crowd(second)]
  for (let n = 0; n < kills; n++) {
    const victim = await serviceProcess(t, env)
    const crowded = crowd(victim)
    await pause(700)
    victim.child.kill('SIGKILL')
    await Promise.all([victim.ended, crowded])
  }
  stopping.abort()
  await Promise.all(running)
  t.comment(`at most ${seen.limited} and ${seen.other} were leased at once`)
  t.ok(seen.limited <= maxLeased && seen.other <= maxLeased)
  t.ok(seen.other >= maxLeased / 2, 'the limit was used')

  // A lease is seen when it is committed, which may be some milliseconds after it was given.
  const tolerance = rate.messages * 0.1
  t.comment(`${mostOver.toFixed(1)} over the rate at most`)
  t.ok(mostOver <= tolerance)
})
