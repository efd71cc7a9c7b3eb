/** Limits of queues on three replicas, while one after another is killed. */
import { setTimeout as pause } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { pollPause } from '../../support/pollPause.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { service, serviceProcess, type Client } from '../../support/service.ts'
import { connect, msSince, untilWaiting } from '../../faults/setup.ts'

const kills = 3
const maxLeased = 20
const maxLeasedPerGroup = 3
const groups = 8
const rate = { messages: 200, perSeconds: 1, burst: 40 }

t.test('limits hold on three replicas, of which one is killed again and again', async t => {
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
  await first.call('PUT', '/queues/grouped', { maxLeasedPerGroup, leaseSeconds: 2, maxAttempts: null })
  const paths = [path, '/queues/other', '/queues/grouped'] as const
  const stopping = new AbortController()
  const working = () => !stopping.signal.aborted

  const fill = async (queue: string) => {
    const messages = Array.from({ length: 500 }, (_, body) => ({ body, group: `g${body % groups}` }))
    for (let n = 0; n < 8; n++) await first.post(`${queue}/messages`, { messages })
  }
  await Promise.all(paths.map(fill))

  /** Leases and settles, or forgets what it holds. Errors of a killed replica end it. */
  const consume = async (replica: Client, queue: string, n: number) => {
    let ack: string[] = []
    while (working()) {
      const answer = await replica.post(`${queue}/lease`, { max: 1 + (n % 5), waitSeconds: 1, ack })
      if (answer.status !== 200) break
      ack = answer.body.messages.map(({ receipt }: { receipt: string }) => receipt)
      if (Math.random() < 0.02) ack = []
    }
  }
  const crowd = (replica: Client) =>
    Promise.allSettled(Array.from({ length: 15 }, (_, n) => consume(replica, paths[n % 3]!, n)))
  const sql = await connect(t, database.url)
  const seen = { limited: 0, other: 0, grouped: 0 }
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
          (
            select coalesce(max(count), 0)::int
            from (
              select count(*)
              from holdfast.messages
              where queue_id = q.id and leased_until is not null
              group by marks->>'group'
            ) g
          ) as of_group,
          (c.leased_total + (
            select coalesce(sum(l.leased_total), 0) from holdfast.ledger l where l.queue_id = q.id
          ))::int as given,
          extract(epoch from statement_timestamp())::float8 as "beganAt",
          extract(epoch from clock_timestamp())::float8 as "endedAt"
        from holdfast.queues q
        join holdfast.counts c on c.queue_id = q.id`)
      for (const { name, leased, of_group: ofGroup, given, beganAt, endedAt } of rows as {
        name: keyof typeof seen
        leased: number
        of_group: number
        given: number
        beganAt: number
        endedAt: number
      }[]) {
        seen[name] = Math.max(seen[name], name === 'grouped' ? ofGroup : leased)
        if (name !== 'limited') continue
        // The statement looks at some time between its begin and its end. On a busy machine these are far
        // apart, so the most that may have come due counts.
        const aheadAt = (seconds: number) => given - (rate.messages * seconds) / rate.perSeconds
        mostOver = Math.max(mostOver, aheadAt(endedAt) - leastBefore - rate.burst)
        leastBefore = Math.min(leastBefore, aheadAt(beganAt))
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
  t.comment(`at most ${seen.limited}, ${seen.other}, and ${seen.grouped} of a group were leased at once`)
  t.ok(seen.limited <= maxLeased && seen.other <= maxLeased)
  t.equal(seen.grouped, maxLeasedPerGroup)
  t.ok(seen.other >= maxLeased / 2, 'the limit was used')

  // A lease is seen when it is committed, which may be some milliseconds after it was given.
  const tolerance = rate.messages * 0.1
  t.comment(`${mostOver.toFixed(1)} over the rate at most`)
  t.ok(mostOver <= tolerance)
})

const paced = { messages: 50, perSeconds: 0.5 }

t.test('two replicas together give what a rate allows, within a twentieth', async t => {
  await Promise.all(['rate', 'ratePerGroup'].map(setting => shareOf(t, { [setting]: paced })))
})

async function shareOf(t: Test, settings: object): Promise<void> {
  const database = await freshDatabase(t)
  const replicas = [await service(t, { database }), await service(t, { database })] as const
  const path = '/queues/paced'
  await replicas[0].call('PUT', path, settings)
  const messages = Array.from({ length: 1000 }, (_, body) => ({ body }))
  await replicas[0].post(`${path}/messages`, { messages })
  const sql = await connect(t, database.url)
  const given = async () => {
    const { rows } = await sql.query(`
      select
        (c.leased_total + (select coalesce(sum(leased_total), 0) from holdfast.ledger))::int as given,
        extract(epoch from clock_timestamp())::float8 as at
      from holdfast.counts c`)
    return rows[0] as { given: number; at: number }
  }
  const done = new AbortController()
  const consume = async (replica: Client) => {
    while (!done.signal.aborted) {
      await replica.post(`${path}/lease`, { max: 3, waitSeconds: 1, leaseSeconds: 1000 })
    }
  }
  const consumers = Array.from({ length: 10 }, (_, n) => consume(replicas[n % 2]!))
  // Past its burst, and past what came due while the consumers began.
  while ((await given()).given < 3 * paced.messages) await pollPause()
  const begin = await given()
  await pause(10 * paced.perSeconds * 1000)
  const end = await given()
  done.abort()
  await Promise.all(consumers)
  const due = (paced.messages * (end.at - begin.at)) / paced.perSeconds
  const share = (end.given - begin.given) / due
  t.ok(Math.abs(share - 1) <= 0.05, `${end.given - begin.given} of ${due.toFixed(1)} leases that came due`)
}

t.test('a place that is freed at one replica wakes who waits at another', async t => {
  const database = await freshDatabase(t)
  const replicas = [await service(t, { database }), await service(t, { database })] as const
  const path = '/queues/across'
  await replicas[0].call('PUT', path, { maxLeased: 1 })
  await replicas[0].post(`${path}/messages`, {
    messages: [{ body: 1 }, { body: 2 }, { body: 3 }, { body: 4 }]
  })
  const lease = async (replica: Client) =>
    (await replica.post(`${path}/lease`, { waitSeconds: 20 })).body.messages[0].receipt as string
  let receipt = await lease(replicas[0])
  for (const verb of ['ack', 'release', 'ack'] as const) {
    const waiting = lease(replicas[1])
    await untilWaiting(replicas[1], 1)
    await replicas[0].post(`${path}/${verb}`, { receipt })
    const startedMs = performance.now()
    receipt = await waiting
    const tookMs = msSince(startedMs)
    t.ok(tookMs < 1000, `${verb}: ${tookMs} ms`)
  }
})
