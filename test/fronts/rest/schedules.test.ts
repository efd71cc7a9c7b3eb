/** Schedules over HTTP: made, changed, read, run, deleted; and what happens when they are due. */
import pg from 'pg'
import t from 'tap'
import { service } from '../../support/service.ts'

const holdfast = await service(t)
const sql = new pg.Client(holdfast.databaseUrl)
await sql.connect()
t.teardown(() => sql.end())

const put = (name: string, schedule: unknown) => holdfast.call('PUT', `/schedules/${name}`, schedule)
const yearly = { queue: 'q', cron: '@yearly', body: 1 }

/**
 * Makes a schedule due, as if this much time had passed. The service sees it at the next change.
 */
async function age(name: string, interval: string): Promise<string> {
  const { rows } = await sql.query(
    `
    update holdfast.schedules
    set next_at = date_trunc('minute', now()) - $2::interval
    where name = $1
    returning holdfast.rfc3339(next_at) as at`,
    [name, interval]
  )
  return rows[0].at
}

async function lease(queue: string): Promise<any> {
  return (await holdfast.post(`/queues/${queue}/lease`, { waitSeconds: 20 })).body.messages[0]
}

t.test('a schedule is made with 201, changed with 200, and keeps the fields that are left out', async t => {
  const made = await put(
    'report',
    '{"queue": "reports", "cron": "30 6 * * 1-5", "timezone": "Europe/London", ' +
      '"body": {"n": 1.50, "n": 9007199254740993}, "headers": {"a": "b"}, "priority": 7}'
  )
  t.equal(made.status, 201)
  t.match(made.text, '"body":{"n": 1.50, "n": 9007199254740993}', 'the body stays as it was sent')
  t.match(made.body, {
    name: 'report',
    queue: 'reports',
    cron: '30 6 * * 1-5',
    timezone: 'Europe/London',
    headers: { a: 'b' },
    priority: 7,
    paused: false,
    missed: 'once',
    lastRun: null
  })
  t.equal(made.body.nextRuns.length, 5)
  for (const run of made.body.nextRuns) {
    t.match(run, /^20\d\d-\d\d-\d\dT\d\d:30:00\.000Z$/)
    t.match(
      new Date(run).toLocaleString('en-GB', {
        timeZone: 'Europe/London',
        weekday: 'short',
        hour: '2-digit',
        minute: '2-digit'
      }),
      /^(Mon|Tue|Wed|Thu|Fri).*06:30$/
    )
  }
  const paused = await put('report', { paused: true })
  t.equal(paused.status, 200)
  t.strictSame([paused.body.paused, paused.body.nextRuns, paused.body.priority], [true, [], 7])
  t.match(paused.text, '"body":{"n": 1.50, "n": 9007199254740993}')
  const resumed = await put('report', { paused: false, headers: {}, missed: 'skip' })
  t.match(resumed.body, { paused: false, missed: 'skip' })
  t.strictSame([resumed.body.headers, resumed.body.nextRuns], [{}, made.body.nextRuns])
  const got = await holdfast.get('/schedules/report')
  t.strictSame([got.status, got.text], [200, resumed.text])
  t.equal((await put('report', {})).text, resumed.text, 'an empty change changes nothing')
})

t.test('the defaults are UTC, priority 4 and missed: once', async t => {
  const { body } = await put('plain', yearly)
  t.match(body, { timezone: 'UTC', priority: 4, missed: 'once', paused: false, headers: {} })
  t.match(body.nextRuns[0], /-01-01T00:00:00\.000Z$/)
})

t.test('a schedule that cannot be kept is refused, and nothing is changed', async t => {
  const before = (await put('kept', yearly)).text
  const refused: [schedule: unknown, status: number, code: string, pointer?: string][] = [
    [{ cron: '*/5 * * * * *' }, 400, 'invalidSchedule', '/cron'],
    [{ cron: 'FREQ=SECONDLY' }, 400, 'invalidSchedule', '/cron'],
    [{ timezone: 'Mars/Olympus' }, 400, 'invalidSchedule', '/timezone'],
    [{ missed: 'all' }, 400, 'invalidRequest', '/missed'],
    [{ queue: '/' }, 400, 'invalidRequest', '/queue'],
    [{ priority: 10 }, 400, 'invalidRequest', '/priority'],
    [{ every: 5 }, 400, 'invalidRequest', '/every'],
    [{ headers: { 'holdfast-schedule': 'x' } }, 400, 'invalidRequest', '/headers/holdfast-schedule'],
    [{ headers: { a: 'x\u0000' } }, 400, 'invalidRequest'],
    [{ body: 'x'.repeat(1_048_576) }, 413, 'bodyTooLarge', '/body'],
    ['{"body": 1, "body": 2}', 400, 'malformedJson'],
    [[], 400, 'invalidRequest']
  ]
  for (const [schedule, status, code, pointer] of refused) {
    const answer = await put('kept', schedule)
    t.strictSame([answer.status, answer.body.code], [status, code], JSON.stringify(schedule).slice(0, 60))
    if (pointer !== undefined) t.equal(answer.body.errors[0].pointer, pointer)
  }
  t.equal((await holdfast.get('/schedules/kept')).text, before)
  t.equal((await put('k%20ept', yearly)).status, 400)
})

t.test('a new schedule without queue, cron or body is scheduleNotFound, like an unknown one', async t => {
  for (const missing of ['queue', 'cron', 'body']) {
    t.match(await put('new', { ...yearly, [missing]: undefined }), {
      status: 404,
      body: { code: 'scheduleNotFound', detail: /needs queue, cron and body/ }
    })
  }
  for (const [method, path] of [
    ['GET', ''],
    ['DELETE', ''],
    ['POST', '/run']
  ]) {
    t.match(await holdfast.call(method!, `/schedules/new${path}`), {
      status: 404,
      body: { code: 'scheduleNotFound' }
    })
  }
})

t.test('a due schedule enqueues its message, and wakes a waiting consumer', async t => {
  await put('due', { queue: 'due', cron: '* * * * *', body: { x: [1.0] }, headers: { a: 'b' }, priority: 9 })
  await holdfast.call('PUT', '/queues/due')
  const waiting = lease('due')
  const at = await age('due', '0')
  await put('due', { headers: { a: 'c' } })
  const message = await waiting
  t.match(message, {
    priority: 9,
    contentType: 'application/json',
    body: { x: [1] },
    headers: { a: 'c', 'holdfast-schedule': 'due', 'holdfast-scheduled-for': at }
  })
  const { body } = await holdfast.get('/schedules/due')
  t.match(body.lastRun, { at, outcome: 'enqueued', messageId: message.id })
  t.ok(Date.parse(body.lastRun.firedAt) >= Date.parse(at))
  t.ok(Date.parse(body.nextRuns[0]) > Date.parse(at))
})

t.test('a run enqueues at once, also while paused, and one key is one message', async t => {
  await put('hand', { ...yearly, queue: 'hand', body: 'by hand', paused: true })
  const first = await holdfast.post('/schedules/hand/run', { idempotencyKey: 'a' })
  t.equal(first.status, 201)
  t.match(await holdfast.post('/schedules/hand/run', {}, { 'idempotency-key': 'a' }), {
    status: 200,
    body: { id: first.body.id, duplicate: true }
  })
  t.equal((await holdfast.post('/schedules/hand/run')).status, 201)
  t.strictSame((await lease('hand')).headers, { 'holdfast-schedule': 'hand' })
  t.equal((await holdfast.get('/schedules/hand')).body.lastRun, null)
  await put('hand', { body: 'another' })
  t.match(await holdfast.post('/schedules/hand/run', { idempotencyKey: 'a' }), {
    status: 422,
    body: { code: 'idempotencyMismatch' }
  })
  await holdfast.call('PUT', '/queues/hand', { maxDepth: 1 })
  t.match(await holdfast.post('/schedules/hand/run'), { status: 429, body: { code: 'queueFull' } })
})

t.test('the list pages by name, without bodies, each schedule with its next time only', async t => {
  for (const name of ['page-1', 'page-2', 'page-3']) await put(name, yearly)
  const names: string[] = []
  for (let cursor = ''; cursor !== null;) {
    const { status, body } = await holdfast.get(
      `/schedules?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`
    )
    t.equal(status, 200)
    t.ok(body.schedules.length <= 2)
    for (const schedule of body.schedules) {
      names.push(schedule.name)
      t.notOk('body' in schedule)
      t.equal(schedule.nextRuns.length, schedule.paused ? 0 : 1)
    }
    cursor = body.cursor
  }
  t.strictSame(names, [...names].sort())
  t.strictSame(
    names.filter(name => name.startsWith('page')),
    ['page-1', 'page-2', 'page-3']
  )
  t.match(await holdfast.get('/schedules?cursor=x'), { status: 400, body: { code: 'invalidCursor' } })
})

t.test('a deleted schedule is gone, and its messages stay', async t => {
  await put('brief', { ...yearly, queue: 'brief' })
  await holdfast.post('/schedules/brief/run')
  t.equal((await holdfast.call('DELETE', '/schedules/brief')).status, 204)
  t.equal((await holdfast.get('/schedules/brief')).status, 404)
  t.ok(await lease('brief'))
})

t.test('a schedule runs into a queue with an order, where its priority says nothing', async t => {
  await holdfast.call('PUT', '/queues/in-order', { ordering: 'group' })
  const schedule = { queue: 'in-order', cron: '* * * * *', body: 1, priority: 9 }
  await holdfast.call('PUT', '/schedules/ordered', schedule)
  t.equal((await holdfast.post('/schedules/ordered/run')).status, 201)
  t.match((await holdfast.get('/queues/in-order/messages')).body.messages, [{ priority: 4 }])
})
