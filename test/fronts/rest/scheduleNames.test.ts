/** Names of schedules: a key learns of none whether it is taken, but for those that are its own. */
import pg from 'pg'
import t from 'tap'
import { clientWith, guarded } from '../../support/apiKeys.ts'
import type { Client } from '../../support/service.ts'

const { holdfast, admin } = await guarded(t)
const schedule = (queue: string) => ({ queue, cron: '@yearly', body: 1 })
const put = (client: Client, name: string, body: unknown) => client.call('PUT', `/schedules/${name}`, body)

/** What a caller is told, without what differs between any two calls. */
async function told(client: Client, method: string, path: string, name: string, body?: unknown) {
  const { status, text } = await client.call(method, path.replace('NAME', name), body)
  return { status, text: text.replaceAll(name, 'NAME').replace(/"requestId":"[^"]*"/, '') }
}

t.test('a name that is not the key’s own gets the same answer, taken or free', async t => {
  t.equal((await put(admin, 'payroll', schedule('secret'))).status, 201)
  const key = await clientWith(holdfast, admin, ['manage:mail', 'browse:mail', 'enqueue:mail'])
  const calls: [method: string, path: string, body?: unknown][] = [
    ['PUT', '/schedules/NAME', schedule('mail')],
    ['PUT', '/schedules/NAME', { ...schedule('mail'), cron: 'never' }],
    ['PUT', '/schedules/NAME', { ...schedule('mail'), paused: true }],
    ['PUT', '/schedules/NAME', schedule('secret')],
    ['PUT', '/schedules/NAME', { queue: 'mail' }],
    ['PUT', '/schedules/NAME', { paused: true }],
    ['PUT', '/schedules/NAME', {}],
    ['GET', '/schedules/NAME'],
    ['POST', '/schedules/NAME/run', {}],
    ['DELETE', '/schedules/NAME']
  ]
  for (const [method, path, body] of calls) {
    const taken = await told(key, method, path, 'payroll', body)
    t.strictSame(taken, await told(key, method, path, 'payrolx', body), `${method} ${JSON.stringify(body)}`)
    t.ok([403, 404].includes(taken.status))
  }
  t.match(
    (await put(key, 'payrolx', schedule('mail'))).body.detail,
    /begins with mail\. .*right manage:payrolx/
  )
  t.match((await admin.get('/schedules/payroll')).body, { queue: 'secret', paused: false })
  t.equal((await admin.get('/schedules/payrolx')).status, 404, 'and nothing was made')
})

t.test('a key names schedules after its queue, or as its right to manage covers', async t => {
  const key = await clientWith(holdfast, admin, ['manage:post', 'manage:nightly-*', 'browse:weekly-*'])
  for (const name of ['post', 'post.daily', 'nightly-post']) {
    t.equal((await put(key, name, schedule('post'))).status, 201, name)
  }
  for (const name of ['poster', 'post-daily', 'nightly', 'weekly-post']) {
    t.match(await put(key, name, schedule('post')), { status: 403, body: { code: 'forbidden' } }, name)
  }
  t.equal((await put(admin, 'whatever', schedule('post'))).status, 201)
  t.equal((await put(key, 'whatever', { priority: 7 })).status, 200, 'a schedule of its queue keeps its name')
})

t.test('of a name that is its own, a key is told that it is taken', async t => {
  await put(admin, 'parcel.x', schedule('hidden'))
  const key = await clientWith(holdfast, admin, ['manage:parcel'])
  const { status, body } = await put(key, 'parcel.x', schedule('parcel'))
  t.match([status, body.detail], [403, /is taken by a schedule of a queue to which this key has no right/])
  t.equal((await admin.get('/schedules/parcel.x')).body.queue, 'hidden')
})

t.test('a key cannot lock a schedule that it may not manage, and so not hold up its firing', async t => {
  await put(admin, 'locked', schedule('vault'))
  const [stranger, viewer] = await Promise.all(
    [['manage:mine'], ['browse:vault']].map(rights => clientWith(holdfast, admin, rights))
  )
  const sql = new pg.Client(holdfast.databaseUrl)
  await sql.connect()
  t.teardown(() => sql.end())
  await sql.query("begin; select from holdfast.schedules where name = 'locked' for update")
  const startedMs = performance.now()
  for (const [client, status] of [
    [stranger!, 404],
    [viewer!, 403]
  ] as const) {
    t.equal((await put(client, 'locked', { paused: true })).status, status)
    t.equal((await client.call('DELETE', '/schedules/locked')).status, status)
  }
  t.ok(performance.now() - startedMs < 900, 'nobody waited for the lock')
  await sql.query('commit')
})
