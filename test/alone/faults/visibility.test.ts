/** Visibility: how long after it becomes ready a message reaches a waiting consumer. */
import t from 'tap'
import { freshDatabase } from '../../support/postgres.ts'
import { service, type Client } from '../../support/service.ts'
import { connect } from '../../faults/setup.ts'

const leaseSeconds = 1
const delayMs = 1000
const visibleMsMax = 1000
const messagesEach = 25
const ways = ['fresh', 'delayed', 'expired', 'failed', 'released', 'redriven'] as const
type Way = (typeof ways)[number]

t.test('however a message becomes ready, a waiting consumer has it within a second', async t => {
  const database = await freshDatabase(t)
  const replicaA = await service(t, { database })
  const replicaB = await service(t, { database })
  const sql = await connect(t, database.url)
  await replicaA.call('PUT', '/queues/seen', {
    leaseSeconds,
    maxAttempts: 10,
    retry: { strategy: 'fixed', delaySeconds: 0.5, jitter: false }
  })
  const lateMs: Record<Way, number[]> = {
    fresh: [],
    delayed: [],
    expired: [],
    failed: [],
    released: [],
    redriven: []
  }
  const allLateMs = () => Object.values(lateMs).flat()
  /** When each message became ready, by its body, on the database's clock. */
  const readyMs = new Map<string, number>()

  // No answer says when a message was released or redriven. The database's clock just before it is
  // near enough for a second.
  const databaseMs = async () => {
    const { rows } = await sql.query('select extract(epoch from clock_timestamp()) * 1000 as ms')
    return Number(rows[0].ms)
  }

  /** Sends a first lease back in its way, and notes when the message is ready again. */
  const sendBack = async (client: Client, way: Way, message: any) => {
    const { receipt, body, leaseExpiresAt } = message
    if (way === 'expired') readyMs.set(body, Date.parse(leaseExpiresAt))
    if (way === 'failed') {
      const answer = await client.post('/queues/seen/fail', { receipt })
      readyMs.set(body, Date.parse(answer.body.visibleAt))
    }
    if (way === 'released') {
      readyMs.set(body, await databaseMs())
      await client.post('/queues/seen/release', { receipt })
    }
    if (way === 'redriven') {
      await client.post('/queues/seen/fail', { receipt, dead: true })
      readyMs.set(body, await databaseMs())
      await client.post('/queues/seen/redrive')
    }
  }

  const work = async (client: Client, message: any) => {
    const { receipt, body, attempt, fence, enqueuedAt, leaseExpiresAt } = message
    const way: Way = body.split(' ')[0]
    if (way === 'fresh') readyMs.set(body, Date.parse(enqueuedAt))
    else if (way === 'delayed') readyMs.set(body, Date.parse(enqueuedAt) + delayMs)
    else if (fence === 1) return await sendBack(client, way, message)
    t.ok(attempt <= 2)
    const leasedMs = Date.parse(leaseExpiresAt) - leaseSeconds * 1000
    lateMs[way].push(leasedMs - readyMs.get(body)!)
    await client.post('/queues/seen/ack', { receipt })
  }

  const consume = async (client: Client) => {
    while (allLateMs().length < messagesEach * ways.length) {
      const { messages } = (await client.post('/queues/seen/lease', { waitSeconds: 2 })).body
      for (const message of messages) await work(client, message)
    }
  }

  const consumers = [replicaA, replicaB, replicaA, replicaB, replicaA, replicaB].map(consume)
  await replicaA.post('/queues/seen/messages', {
    messages: ways.flatMap(way =>
      Array.from({ length: messagesEach }, (_, n) => ({
        body: `${way} ${n}`,
        ...(way === 'delayed' && { delaySeconds: delayMs / 1000 })
      }))
    )
  })
  await Promise.all(consumers)

  const inTime = allLateMs().filter(late => late < visibleMsMax)
  const latest = ways.map(way => `${way} ${Math.round(Math.max(...lateMs[way]))}`)
  t.comment(`visibility ${inTime.length} of ${allLateMs().length}; the latest, in ms: ${latest.join(', ')}`)
  t.strictSame(
    allLateMs().filter(late => late >= visibleMsMax),
    []
  )
})
