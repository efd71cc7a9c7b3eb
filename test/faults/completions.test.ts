/** A chain of two queues under kills: each message is in one of them, and in the second only once. */
import t from 'tap'
import { pollPause } from '../support/pollPause.ts'
import { freshServer } from '../support/postgres.ts'
import { client, serviceProcess } from '../support/service.ts'
import { connect } from './setup.ts'

t.test('with service and PostgreSQL killed under load, each ack has enqueued once what follows', async t => {
  const count = 1500
  const server = await freshServer(t)
  const start = () => serviceProcess(t, { HOLDFAST_DATABASE_URL: server.url })
  let holdfast = await start()
  await holdfast.call('PUT', '/queues/from', { leaseSeconds: 1, maxAttempts: 1000 })
  await holdfast.call('PUT', '/queues/to')
  for (let n = 0; n < count; n += 500) {
    const messages = Array.from({ length: 500 }, (_, i) => ({ body: n + i }))
    await holdfast.post('/queues/from/messages', { messages })
  }

  /** Ids of what followed, as the answers said. */
  const followed: string[] = []
  const over = new AbortController()
  // A call without an answer is forgotten: its messages come back when their leases end.
  const post = async (path: string, body: object) => {
    const answer = await client(holdfast.url)
      .post(path, body)
      .catch(() => null)
    return answer?.status === 200 ? answer.body : null
  }
  const consume = async () => {
    while (!over.signal.aborted) {
      const leased: any[] = (await post('/queues/from/lease', { max: 3, waitSeconds: 1 }))?.messages ?? []
      const acks = leased.map(({ receipt, body }) => ({ receipt, then: [{ queue: 'to', body }] }))
      if (acks.length === 0) continue
      for (const { then = [] } of (await post('/queues/from/ack', { acks }))?.outcomes ?? []) {
        followed.push(...then.map(({ id }: { id: string }) => id))
      }
    }
  }
  const reaching = async (count: number) => {
    while (followed.length < count) await pollPause()
  }
  const consumers = Array.from({ length: 8 }, consume)

  await reaching(200)
  holdfast.child.kill('SIGKILL')
  await holdfast.ended
  holdfast = await start()
  await reaching(500)
  const backend = await connect(t, server.url)
  const { rows } = await backend.query(`
    select pid
    from pg_stat_activity
    where application_name = 'holdfast'
    limit 1`)
  process.kill(rows[0].pid, 'SIGKILL')
  await reaching(800)
  process.kill(server.pid, 'SIGKILL')
  await reaching(1000)

  while ((await post('/queues/from/lease', { max: 1 })) === null) await pollPause()
  const left = async () => {
    const { body } = await client(holdfast.url).get('/queues/from')
    return body.counts === undefined ? Infinity : body.counts.ready + body.counts.leased
  }
  while ((await left()) > 0) await pollPause()
  over.abort()
  await Promise.all(consumers)

  const sql = await connect(t, server.url)
  const { rows: stored } = await sql.query<{ id: string; body: string }>(`
    select m.id, m.body
    from holdfast.messages m
    join holdfast.queues q on q.id = m.queue_id
    where q.name = 'to'`)
  const bodies = stored.map(({ body }) => Number(body)).sort((a, b) => a - b)
  t.strictSame(bodies, [...Array(count).keys()], 'each is there, and once')
  const ids = new Set(stored.map(({ id }) => id))
  t.strictSame(
    followed.filter(id => !ids.has(id)),
    [],
    `all of ${followed.length} that an answer named are there`
  )
})
