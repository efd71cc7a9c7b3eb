/** Why a message is where it is, what the metrics say, and what the request log leaves out. */
import { readFile } from 'node:fs/promises'
import pg from 'pg'
import t from 'tap'
import { parse } from 'yaml'
import { openDatabase } from '../../../src/store/database.ts'
import { watchSnapshots, type Holder } from '../../../src/store/upkeep/snapshots.ts'
import { pollPause } from '../../support/pollPause.ts'
import { service, serviceProcess } from '../../support/service.ts'

const holdfast = await service(t)
const sql = new pg.Client(holdfast.databaseUrl)
await sql.connect()
t.teardown(() => sql.end())

t.test('a message says why it is where it is, with what to fix first at the top', async t => {
  const path = '/queues/why'
  const put = (change: object) => holdfast.call('PUT', path, change)
  const enqueue = async (message: object): Promise<string> =>
    (await holdfast.post(`${path}/messages`, message)).body.id
  const lease = async () => (await holdfast.post(`${path}/lease`, { worker: 'w1', max: 1 })).body.messages[0]
  const explain = async (id: string) => (await holdfast.get(`${path}/messages/${id}/explain`)).body
  const codes = async (id: string) => (await explain(id)).reasons.map(({ code }: { code: string }) => code)

  await put({ maxAttempts: 2, keepAckedSeconds: 60 })
  const [first, second] = [await enqueue({ body: 1 }), await enqueue({ body: 2 })]
  t.match(await explain(first), {
    id: first,
    state: 'ready',
    reasons: [{ code: 'noConsumer', detail: /Nobody has asked .* yet/, lastAskedAt: undefined }]
  })
  t.match((await explain(second)).reasons, [
    { code: 'noConsumer' },
    { code: 'behind', ahead: 1, detail: /^1 message comes before it/ }
  ])
  const urgent = await enqueue({ body: 3, priority: 9 })
  t.match((await explain(second)).reasons[1], { ahead: 2 })

  t.equal((await lease()).id, urgent)
  t.strictSame(await codes(first), ['next'], 'a consumer has asked, and a leased message is not before it')
  t.match(await explain(urgent), {
    state: 'leased',
    reasons: [
      {
        code: 'leased',
        worker: 'w1',
        until: /Z$/,
        detail: /^w1 holds it until .*: attempt 1 of 2\. .* ready again/
      }
    ]
  })
  await put({ paused: true })
  t.strictSame(await codes(second), ['paused', 'behind'])
  await put({ paused: false })

  const delayed = await enqueue({ body: 4, delaySeconds: 60 })
  t.match((await explain(delayed)).reasons, [{ code: 'delayed', until: /Z$/ }])
  await holdfast.post(`${path}/fail`, {
    receipt: (await lease()).receipt,
    reason: 'the mail server said no',
    delaySeconds: 60
  })
  t.match((await explain(first)).reasons, [
    {
      code: 'backingOff',
      until: /Z$/,
      detail: /after attempt 1 of 2\. Attempt 1 ended at .*: the mail server said no\./
    }
  ])
  await holdfast.post(`${path}/fail`, { receipt: (await lease()).receipt, dead: true })
  t.match((await explain(second)).reasons, [
    { code: 'dead', detail: /Attempt 1 ended at .* without a reason\. A redrive/ }
  ])
  const third = await enqueue({ body: 5 })
  await holdfast.post(`${path}/ack`, { receipt: (await lease()).receipt })
  t.match(await explain(third), { state: 'acked', reasons: [{ code: 'acked', until: /Z$/ }] })
  for (const unknown of ['999999', 'x']) {
    t.match(await holdfast.get(`${path}/messages/${unknown}/explain`), {
      status: 404,
      body: { code: 'messageNotFound' }
    })
  }
})

t.test('what consumers ask at one replica is known at every other, a step later', async t => {
  const other = await service(t, { database: { url: holdfast.databaseUrl } })
  const { id } = (await holdfast.post('/queues/asked/messages', { body: 1 })).body
  const reasons = async () => (await holdfast.get(`/queues/asked/messages/${id}/explain`)).body.reasons
  await holdfast.call('PUT', '/queues/asked', { paused: true })
  await other.post('/queues/asked/lease')
  t.match(await reasons(), [{ code: 'paused' }, { code: 'noConsumer' }])
  await other.stop() // now it shares what it knows
  await holdfast.call('PUT', '/queues/asked', { paused: false })
  t.match(await reasons(), [{ code: 'next' }])
  await sql.query("update holdfast.asked set asked_at = asked_at - interval '5 minutes'")
  t.match(await reasons(), [{ code: 'noConsumer', lastAskedAt: /Z$/, detail: /since \d{4}-/ }])
  await holdfast.call('PUT', '/queues/asked', { paused: true })
  const waiting = holdfast.post('/queues/asked/lease', { waitSeconds: 5 })
  while ((await reasons()).length > 1) await pollPause()
  t.match(await reasons(), [{ code: 'paused' }], 'a waiting consumer counts as asking')
  await holdfast.call('PUT', '/queues/asked', { paused: false })
  t.match((await waiting).body.messages, [{ id }])
})

t.test('every metric is documented, and every documented metric exists', async t => {
  await holdfast.post('/queues/measured/messages', { body: 1 })
  const { messages } = (await holdfast.post('/queues/measured/lease')).body
  await holdfast.post('/queues/measured/ack', { receipt: messages[0].receipt })
  await holdfast.get('/nowhere')
  await holdfast.call('HEAD', '/livez')
  const metrics = async () => (await holdfast.get('/metrics')).text
  // Counted once the ledger has been folded.
  while (!(await metrics()).includes('holdfast_acked_total{queue="measured"} 1')) await pollPause()
  const text = await metrics()
  const exposed = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name!)
  t.strictSame(exposed.filter(name => name.startsWith('holdfast_')).sort(), (await documented()).sort())
  t.ok(exposed.every(name => /^(holdfast|process|nodejs)_/.test(name)))
  const leaseLabels = 'method="POST",route="/queues/:queue/lease",status="2xx"'
  for (const line of [
    'holdfast_database_up 1',
    'holdfast_flushed_messages_total{kind="enqueue"} 1',
    'holdfast_oldest_ready_seconds{queue="measured"} 0',
    `holdfast_http_request_seconds_bucket{${leaseLabels},le="+Inf"} 1`,
    'holdfast_http_request_seconds_count{method="other",route="other",status="4xx"} 1',
    'holdfast_http_request_seconds_count{method="HEAD",route="/livez",status="2xx"} 1'
  ]) {
    t.ok(text.includes(`\n${line.replace('"} 1', '"} ')}`), line)
  }
  const value = (name: string) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)![1])
  t.ok(value('holdfast_sweeper_lag_seconds') < 10)
  t.ok(value('holdfast_message_work_seconds_count') >= 1)
  for (const [, name, labels, infinite] of text.matchAll(/^(\w+)_bucket\{(.*)le="\+Inf"\} (\d+)$/gm)) {
    const own = labels!.replace(/,$/, '').replace(/[/:*]/g, '\\$&')
    const count = new RegExp(`^${name}_count(?:\\{${own}\\})? (\\d+)$`, 'm').exec(text)?.[1]
    t.equal(infinite, count, `${name} ${labels}: the last bucket holds all`)
  }
})

/** The metrics that docs/metrics.md lists. */
async function documented(): Promise<string[]> {
  const page = await readFile('docs/metrics.md', 'utf8')
  return [...page.matchAll(/^\| `(\w+)/gm)].map(([, name]) => name!)
}

interface Alert {
  alert: string
  expr: string
  for: string
  labels: { severity: string }
  annotations: { summary: string; description: string }
}

t.test('alert rules and dashboard are well-formed, and name metrics that exist', async t => {
  const names = new Set(await documented())
  const exists = (name: string) =>
    names.has(name.replace(/_(bucket|sum|count)$/, '')) ||
    names.has(name) ||
    /^(nodejs_|process_|up$)/.test(name)
  const metricsOf = (expression: string) =>
    [...expression.matchAll(/\b(?:(?:holdfast|nodejs|process)_\w+|up\b)/g)].map(([name]) => name)
  const rules = parse(await readFile('docs/operations/alerts.yaml', 'utf8')) as {
    groups: { name: string; rules: Alert[] }[]
  }
  const alerts = rules.groups.flatMap(group => group.rules)
  t.ok(alerts.length >= 11)
  for (const { alert, expr, for: duration, labels, annotations } of alerts) {
    t.match(
      { alert, duration, severity: labels.severity, ...annotations },
      {
        alert: /^Holdfast[A-Z]\w+$/,
        duration: /^\d+[ms]$/,
        severity: /^(page|ticket)$/,
        summary: String,
        description: String
      }
    )
    t.ok(metricsOf(expr).length > 0 && metricsOf(expr).every(exists), `${alert}: ${expr}`)
  }
  const dashboard = JSON.parse(await readFile('docs/operations/grafana-dashboard.json', 'utf8')) as {
    title: string
    panels: { title: string; type: string; targets?: { expr: string }[] }[]
  }
  const expressions = dashboard.panels.flatMap(panel => panel.targets ?? []).map(({ expr }) => expr)
  t.strictSame(
    expressions.filter(expr => !metricsOf(expr).every(exists) || metricsOf(expr).length === 0),
    []
  )
  const shown = new Set(expressions.flatMap(metricsOf))
  for (const { alert, expr } of alerts) {
    t.ok(
      metricsOf(expr).every(name => shown.has(name)),
      `a panel shows the metrics of ${alert}`
    )
  }
})

t.test('the holder of an old snapshot is named, and hidden sessions are counted', async t => {
  const database = openDatabase(
    { connectionString: holdfast.databaseUrl },
    { poolSize: 2, onError: () => {} }
  )
  t.teardown(() => database.close())
  const holder = new pg.Client({ connectionString: holdfast.databaseUrl, application_name: 'a report' })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('begin isolation level repeatable read; select 1 from pg_class')
  const { rows } = await holder.query('select pg_backend_pid() as pid, current_user as user')
  const { pid, user } = rows[0]
  const reported = await new Promise<Holder>((resolve, reject) => {
    const watch = watchSnapshots(
      database,
      holder => {
        if (holder.application === 'a report') resolve(holder)
      },
      reject,
      { ageSeconds: 0, pauseMs: 20 }
    )
    t.teardown(() => watch.stop())
  })
  t.match(reported, {
    kind: 'session',
    name: String(pid),
    user,
    state: 'idle in transaction',
    ageSeconds: Number
  })
  const watch = watchSnapshots(
    database,
    () => {},
    () => {}
  )
  t.teardown(() => watch.stop())
  const before = (await watch.check()).oldest!.ageSeconds
  t.ok((await watch.check()).oldest!.ageSeconds > before)
  t.match(
    (await holdfast.get('/metrics')).text,
    /^holdfast_oldest_snapshot_seconds 0\.\d|^holdfast_oldest_snapshot_seconds [1-9]/m
  )

  const databaseName = (await sql.query('select quote_ident(current_database()) as name')).rows[0].name
  await sql.query('create role looker login')
  await sql.query(`grant connect on database ${databaseName} to looker`)
  t.teardown(() => sql.query('drop owned by looker; drop role looker'))
  const limited = openDatabase(
    { connectionString: holdfast.databaseUrl, options: '-c role=looker' },
    { poolSize: 1, onError: () => {} }
  )
  t.teardown(() => limited.close())
  const blind = watchSnapshots(
    limited,
    () => {},
    () => {}
  )
  t.teardown(() => blind.stop())
  const seen = await blind.check()
  t.ok(
    seen.hidden > 0 && seen.oldest?.application !== 'a report',
    'a role without pg_read_all_stats counts the sessions that it may not see'
  )
  await holder.query('rollback')
})

t.test('the request log has a line for each request, without bodies, queries or secrets', async t => {
  const secret = `hf_0123456789_${'s'.repeat(43)}`
  const run = async (level: string) => {
    const logged = await serviceProcess(t, {
      HOLDFAST_DATABASE_URL: holdfast.databaseUrl,
      HOLDFAST_LOG_LEVEL: level
    })
    await logged.post(
      '/queues/logged/messages?idempotencyKey=key-in-the-query&priority=3',
      'body-of-a-message',
      { 'content-type': 'text/plain', authorization: `Bearer ${secret}` }
    )
    await logged.post('/queues/logged/messages', {
      body: 'body-of-json',
      headers: { h: 'header-of-a-message' },
      idempotencyKey: 'key-in-the-body'
    })
    await logged.post('/queues/logged/lease', { worker: 'w' })
    await logged.get('/queues/none-such')
    await logged.get('/nowhere?secret=query')
    logged.child.kill('SIGTERM')
    await logged.ended
    return logged.said()
  }
  const log = await run('info')
  const lines = log
    .split('\n')
    .filter(line => line.startsWith('{'))
    .map(line => JSON.parse(line))
    .filter(({ msg }) => msg === 'request')
  t.match(lines, [
    {
      method: 'POST',
      route: '/queues/:queue/messages',
      queue: 'logged',
      status: 201,
      durationMs: Number,
      requestId: /^req-/
    },
    { route: '/queues/:queue/messages', status: 201 },
    { route: '/queues/:queue/lease', status: 200 },
    { method: 'GET', route: '/queues/:queue', queue: 'none-such', status: 404 },
    { route: 'other', status: 404 }
  ])
  t.equal(lines.length, 5)
  for (const word of ['body-of', 'header-of', 'key-in-the', 'Bearer', secret, 'query', 'nowhere']) {
    t.notMatch(log, word, word)
  }
  t.notMatch(await run('warn'), '"msg":"request"', 'no such line by default')
})
