/**
 * Deaths and their redrive while replicas are killed: no message is lost, and none is doubled.
 * HOLDFAST_TEST_DEATHS makes it larger.
 */
import t from 'tap'
import { pollPause } from '../support/pollPause.ts'
import { connect, freshDatabase } from '../support/postgres.ts'
import { serviceProcess, type Client } from '../support/service.ts'

const deaths = Number(process.env.HOLDFAST_TEST_DEATHS ?? 2000)
const killsMax = 4
const batch = 100

/** The answer of a call, or null when the replica was killed meanwhile. */
const attempt = (call: Promise<{ status: number; body: any }>) => call.catch(() => null)

t.test('kill -9 in the middle of deaths and of redrives', async t => {
  const { url } = await freshDatabase(t)
  const sql = await connect(t, url)
  const start = () => serviceProcess(t, { HOLDFAST_DATABASE_URL: url, HOLDFAST_LOG_LEVEL: 'silent' })
  let replica = await start()
  let kills = 0
  /** Kills the replica, at most a few times, while the calls are under way. */
  async function whileKilled(calls: Promise<unknown>[]): Promise<void> {
    if (kills < killsMax) {
      kills++
      replica.child.kill('SIGKILL')
      await replica.ended
    }
    await Promise.all(calls)
    if (replica.child.signalCode !== null) replica = await start()
  }

  await replica.call('PUT', '/queues/q', { deadLetterQueue: 'dlq', maxAttempts: 1, leaseSeconds: 1 })
  for (let n = 0; n < deaths; n += batch) {
    const messages = Array.from({ length: batch }, (_, i) => ({ body: n + i }))
    await replica.post('/queues/q/messages', { messages })
  }
  const counts = async (client: Client, name: string): Promise<Record<string, number>> =>
    (await client.get(`/queues/${name}`)).body.counts ?? {}

  for (let round = 0; ; round++) {
    const { ready = 0, leased = 0 } = await counts(replica, 'q')
    if (ready + leased === 0) break
    const dying = Array.from({ length: 4 }, async () => {
      const answer = await attempt(replica.post('/queues/q/lease', { max: batch }))
      const failures = (answer?.body.messages ?? []).map(({ receipt }: any) => ({ receipt, dead: true }))
      if (failures.length > 0) await attempt(replica.post('/queues/q/fail', { failures }))
    })
    await (round % 3 === 1 ? whileKilled(dying) : Promise.all(dying))
  }
  t.match(await counts(replica, 'dlq'), { ready: deaths }, 'all are there')

  kills = 0
  await replica.post('/queues/dlq/redrive', { ratePerSecond: Math.max(1000, deaths / 10) })
  for (let round = 0; round < killsMax; round++) {
    await whileKilled([attempt(replica.post('/queues/dlq/redrive', { limit: deaths / 10 }))])
  }
  while ((await replica.get('/queues/dlq/redrives')).body.redrives[0].state === 'running') await pollPause()
  await replica.post('/queues/dlq/redrive')
  t.match(await counts(replica, 'q'), { ready: deaths }, 'all are home')
  t.match(await counts(replica, 'dlq'), { ready: 0, leased: 0, delayed: 0, dead: 0 })
  const { rows } = await sql.query(`
    select count(*)::int as messages, count(distinct body)::int as bodies
    from holdfast.messages m
    where queue_id = (select id from holdfast.queues where name = 'q')`)
  t.strictSame(rows, [{ messages: deaths, bodies: deaths }])
})
