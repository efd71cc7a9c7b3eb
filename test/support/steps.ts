/** One message's life through most verbs of the API, for services in odd surroundings. */
import type { Test } from 'tap'
import type { Client } from './service.ts'

const rfc3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** Every call must succeed, and every time must be written as documented. */
export async function runThroughVerbs(t: Test, holdfast: Client, queue = 'odd'): Promise<void> {
  const path = `/queues/${queue}`
  const call = async (method: string, to: string, body?: unknown) => {
    const answer = await holdfast.call(method, to, body)
    t.ok(answer.status < 300, `${method} ${to}: ${answer.status} ${answer.status < 300 ? '' : answer.text}`)
    return answer.body
  }
  await call('PUT', path, {
    maxAttempts: 2,
    retry: { strategy: 'fixed', delaySeconds: 0.001 },
    keepAckedSeconds: 60
  })
  const later = new Date(Date.now() + 86_400_000).toISOString()
  const sent = { body: { é: [1.1, null] }, headers: { a: '\\' }, idempotencyKey: 'once', ttlSeconds: 1e6 }
  const { id } = await call('POST', `${path}/messages`, sent)
  t.match(await call('POST', `${path}/messages`, sent), { id, duplicate: true })
  await call('POST', `${path}/messages`, { body: 2, visibleAt: later })
  await call('POST', `${path}/messages`, { messages: [{ body: 3 }, { body: 4, delaySeconds: 100 }] })

  const [first] = (await call('POST', `${path}/lease`, { worker: 'w', idempotencyKey: 'l' })).messages
  t.match(first, { id, body: sent.body, headers: sent.headers })
  for (const time of [first.enqueuedAt, first.leaseExpiresAt]) t.match(time, rfc3339)
  await call('POST', `${path}/extend`, { receipt: first.receipt, leaseSeconds: 90 })
  await call('POST', `${path}/fail`, { receipt: first.receipt, reason: 'no, {NULL} "\\ yet' })
  const again = (await call('POST', `${path}/lease`, { max: 10, waitSeconds: 2 })).messages
  await call('POST', `${path}/release`, { receipts: again.map(({ receipt }: any) => receipt) })

  const failed = []
  for (let left = 2; left > 0;) {
    const { messages } = await call('POST', `${path}/lease`, { max: 10, waitSeconds: 2 })
    for (const { receipt, id: leased } of messages) {
      await call('POST', `${path}/fail`, { receipt, reason: 'never', dead: true })
      failed.push(leased)
      left--
    }
  }
  t.ok(failed.includes(id))
  const message = await call('GET', `${path}/messages/${id}`)
  t.match(message, { state: 'dead', history: [{ outcome: 'failed', reason: 'no, {NULL} "\\ yet' }] })
  for (const { leasedAt, endedAt } of message.history) {
    t.match(leasedAt, rfc3339)
    t.match(endedAt, rfc3339)
  }
  t.equal((await call('GET', `${path}/messages?state=dead`)).messages.length, 2)
  t.match((await call('GET', `${path}/messages?state=delayed`)).messages[0], { visibleAt: later })
  await call('GET', `${path}/messages/${id}/explain`)
  await call('POST', `${path}/redrive`, { limit: 10 })
  const { messages } = await call('POST', `${path}/lease`, { max: 10 })
  await call('POST', `${path}/ack`, { receipts: messages.map(({ receipt }: any) => receipt) })
  await call('GET', `${path}/series`)
  t.match(await call('GET', path), { counts: { ready: 0, leased: 0, dead: 0, delayed: 2 } })
  await call('PUT', `/schedules/${queue}`, { queue, cron: '* * * * *', timezone: 'Europe/Paris', body: 1 })
  t.match((await call('GET', `/schedules/${queue}`)).nextRuns[0], rfc3339)
  await call('DELETE', `/schedules/${queue}`)
  await call('POST', `${path}/purge`, { state: 'delayed' })
  await call('GET', '/metrics')
  await call('GET', '/readyz')
  await call('DELETE', path)
}
