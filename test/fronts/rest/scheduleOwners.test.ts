/** Who owns a schedule: how many a key may own, whose rate firings count against, and what stays. */
import pg from 'pg'
import t from 'tap'
import { pollPause } from '../../support/pollPause.ts'
import { clientWith, guarded, until } from '../../support/apiKeys.ts'
import { service, type Client } from '../../support/service.ts'

const { holdfast, admin } = await guarded(t, {
  HOLDFAST_SCHEDULES_MAX: '12',
  HOLDFAST_SCHEDULES_PER_QUEUE_MAX: '5'
})
const sql = new pg.Client(holdfast.databaseUrl)
await sql.connect()
t.teardown(() => sql.end())
t.afterEach(() => sql.query('delete from holdfast.schedules'))

const put = (client: Client, name: string, change: object = {}) =>
  client.call('PUT', `/schedules/${name}`, change)
const yearly = (queue: string) => ({ queue, cron: '@yearly', body: 1 })
const refused = { status: 429, body: { code: 'tooManySchedules' } }

/** Makes schedules on new queues until one is refused. Returns how many were made. */
async function fill(client: Client, prefix: string): Promise<number> {
  for (let made = 0; ; made++) {
    const queue = `${prefix}${made}`
    if ((await put(client, queue, yearly(queue))).status !== 201) return made
  }
}

/** Makes all schedules due now, and waits until each has fired. Returns their outcomes by name. */
async function fireAll(): Promise<Record<string, string>> {
  await put(admin, 'bell', yearly('bell'))
  await sql.query('update holdfast.schedules set next_at = now() where not paused')
  await put(admin, 'bell', { priority: 5 }) // by this change, the service learns that it is due
  const unfired = 'select from holdfast.schedules where not paused and last_at is null'
  while ((await sql.query(unfired)).rowCount! > 0) await pollPause()
  const { rows } = await sql.query(`
    select name, last_outcome
    from holdfast.schedules
    where last_at is not null and name <> 'bell'`)
  return Object.fromEntries(rows.map(row => [row.name, row.last_outcome]))
}

t.test(
  'a key owns at most half of the schedules that others leave, and each other key owns some',
  async t => {
    const [a, b] = await Promise.all(['a', 'b'].map(x => clientWith(holdfast, admin, [`manage:${x}-*`])))
    t.equal(await fill(a!, 'a-'), 6)
    const { status, body } = await put(a!, 'a-more', yearly('a-more'))
    t.match({ status, body }, refused)
    t.match(body.detail, /owns 6 schedules.*share of the 12/)
    t.equal(await fill(b!, 'b-'), 3)
    t.match(await put(a!, 'a-0', { priority: 5 }), { status: 200 }, 'those that are there can be changed')
    await a!.call('DELETE', '/schedules/a-0')
    t.match(await put(a!, 'a-more', yearly('a-more')), refused, 'the second key holds 3 now')
    for (const name of ['a-1', 'a-2']) await a!.call('DELETE', `/schedules/${name}`)
    t.match(await put(a!, 'a-more', yearly('a-more')), { status: 201 }, 'deleting gives room back')
  }
)

t.test('a queue has at most so many schedules, also by moving them; an admin may make more', async t => {
  const key = await clientWith(holdfast, admin, ['manage:*'])
  for (let n = 0; n < 5; n++) t.equal((await put(key, `full.${n}`, yearly('full'))).status, 201)
  const { status, body } = await put(key, 'full.5', yearly('full'))
  t.match({ status, body }, refused)
  t.match(body.detail, /queue full has 5 schedules already/)
  t.equal((await put(key, 'free', yearly('free'))).status, 201)
  t.match(await put(key, 'free', { queue: 'full' }), refused)
  t.equal((await put(key, 'full.0', { queue: 'elsewhere' })).status, 200)
  t.equal((await put(key, 'free', { queue: 'full' })).status, 200)
  t.equal((await put(admin, 'full.6', yearly('full'))).status, 201)
})

t.test('all keys together, admins too, have at most so many', async t => {
  t.equal(await fill(admin, 'x-'), 12)
  t.match((await put(admin, 'y', yearly('y'))).body.detail, /There are 12 schedules already/)
})

t.test('the bound is exact, however many are made at once', async t => {
  const key = await clientWith(holdfast, admin, ['manage:*'])
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, n) => put(key, `crowd-${n}`, yearly(`crowd-${n}`)))
  )
  t.equal(answers.filter(({ status }) => status === 201).length, 6)
  t.ok(answers.every(({ status, body }) => status === 201 || body.code === 'tooManySchedules'))
})

t.test('who makes or changes a schedule owns it; a pause alone leaves it its owner', async t => {
  const [first, second] = await Promise.all(
    [1, 2].map(() => clientWith(holdfast, admin, ['manage:own', 'browse:own']))
  )
  const owner = async () => (await first!.get('/schedules/own')).body.owner
  t.match((await put(first!, 'own', yearly('own'))).body.owner, { id: first!.id, name: 'test' })
  await put(second!, 'own', { paused: true })
  t.strictSame(await owner(), { id: first!.id, name: 'test' })
  await put(second!, 'own', { paused: false })
  t.match(await owner(), { id: second!.id })
  await put(admin, 'own', { priority: 7 })
  t.match(await owner(), { id: 'file' })
  t.match((await first!.get('/schedules')).body.schedules, [{ name: 'own', owner: { id: 'file' } }])
})

t.test('without keys a schedule has no owner, and the bounds of queue and total hold', async t => {
  const open = await service(t, {
    env: { HOLDFAST_SCHEDULES_MAX: '3', HOLDFAST_SCHEDULES_PER_QUEUE_MAX: '2' }
  })
  t.match(await put(open, 'any', yearly('q')), { status: 201, body: { owner: null } })
  t.match(await put(open, 'thing', yearly('q')), { status: 201 })
  t.match(await put(open, 'third', yearly('q')), refused)
  t.match(await put(open, 'third', yearly('other')), { status: 201 })
  t.match(await put(open, 'fourth', yearly('another')), refused)
})

t.test(
  'firings count against the rate of the owner, and no other schedule misses its time for it',
  async t => {
    const slow = await clientWith(holdfast, admin, ['manage:slow*', 'enqueue:slow*'], {
      messagesPerSecond: 0.01
    })
    for (let n = 0; n < 4; n++) await put(slow, `slow-${n}`, yearly(`slow-${n}`))
    await put(admin, 'other', yearly('other'))
    const outcomes = Object.values(await fireAll()).sort()
    t.strictSame(outcomes, ['enqueued', 'enqueued', 'rateLimited', 'rateLimited', 'rateLimited'])
    t.equal((await admin.get('/schedules/other')).body.lastRun.outcome, 'enqueued')
    const enqueue = async () => (await slow.post('/queues/slow-0/messages', { body: 1 })).status
    t.strictSame([await enqueue(), await enqueue()], [201, 429], 'the firing was taken from the same rate')
  }
)

t.test('revoking a key names the schedules that stay, and can pause them', async t => {
  const [staying, pausing, idle] = await Promise.all(
    ['s', 'p', 'i'].map(x => clientWith(holdfast, admin, [`manage:${x}-*`]))
  )
  for (const name of ['s-1', 's-2']) await put(staying!, name, yearly(name))
  for (const name of ['p-1', 'p-2']) await put(pausing!, name, yearly(name))
  await put(staying!, 's-2', { paused: true })
  t.equal((await admin.call('DELETE', `/keys/${idle!.id}`)).status, 204, 'nothing stays')
  const stays = await admin.call('DELETE', `/keys/${staying!.id}`)
  t.strictSame(
    [stays.status, stays.body],
    [
      200,
      {
        schedules: [
          { name: 's-1', queue: 's-1', paused: false },
          { name: 's-2', queue: 's-2', paused: true }
        ]
      }
    ]
  )
  const paused = await admin.call('DELETE', `/keys/${pausing!.id}?pauseSchedules=true`)
  t.match([paused.status, paused.body.schedules], [200, [{ name: 'p-1', paused: true }, { paused: true }]])
  t.match((await admin.get('/schedules/p-1')).body, {
    paused: true,
    nextRuns: [],
    owner: { id: pausing!.id }
  })
  await until(401, () => staying!.get('/schedules/s-1'))
  t.match(await fireAll(), { 's-1': 'enqueued', 'p-1': undefined }, 'only what is paused rests')

  t.equal((await admin.call('DELETE', `/keys/${staying!.id}`)).status, 404)
  const again = await admin.call('DELETE', `/keys/${staying!.id}?pauseSchedules=true`)
  t.match(
    [again.status, again.body.schedules],
    [200, [{ name: 's-1', paused: true }, {}]],
    'sent again, it pauses'
  )
})
