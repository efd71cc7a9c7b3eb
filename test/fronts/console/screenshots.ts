/**
 * Takes pictures of every page of the console in both themes, for docs/console. Run it with
 * `npm run screenshots`. It makes up an hour of data.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { chromium } from 'playwright-core'
import pg from 'pg'
import { readConfig } from '../../../src/config.ts'
import { startService } from '../../../src/service.ts'
import { startEmbedded } from '../../../src/store/setup/embedded.ts'
import { chromiumArgs, chromiumPath } from '../../support/chromium.ts'

const folder = await mkdtemp(join(tmpdir(), 'holdfast-screenshots-'))
const postgres = await startEmbedded(folder, () => {})
const running = await startService(
  readConfig({
    HOLDFAST_DATABASE_URL: postgres.url,
    HOLDFAST_PORT: process.env.HOLDFAST_PORT ?? '0',
    HOLDFAST_LOG_LEVEL: 'silent'
  }),
  () => {}
)
const { url } = running
async function call(method: string, path: string, body?: object): Promise<any> {
  return (
    await fetch(url + path, {
      method,
      ...(body !== undefined && {
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body)
      })
    })
  ).json()
}
const post = (path: string, body?: object) => call('POST', path, body)
const reasons = ['HTTP 503 from api.example.org', 'timeout after 10 s', 'no such user: 4711']
const queues = [
  'audit-log',
  'invoices',
  'mail',
  'mail-replies',
  'orders',
  'orders-refunds',
  'payments',
  'reports',
  'search-index',
  'sms',
  'thumbnails',
  'webhooks'
]

for (const [q, queue] of queues.entries()) {
  const body = (n: number) => ({
    body: {
      order: 48_210 + n,
      customer: { name: 'Ada Lovelace', mail: 'ada@example.org' },
      lines: [{ sku: 'TEA-250', quantity: 2 }],
      total: 24.5
    },
    headers: { trace: `4bf92f35-${1000 + n}` }
  })
  await post(`/queues/${queue}/messages`, {
    messages: Array.from({ length: 20 + ((q * 37) % 160) }, (_, n) => ({
      ...body(n),
      ...(n % 9 === 0 && { delaySeconds: 900 })
    }))
  })
  const { messages } = await post(`/queues/${queue}/lease`, {
    max: 12,
    leaseSeconds: 900,
    worker: `worker-${(q % 3) + 1}@eu-1`
  })
  await post(`/queues/${queue}/fail`, {
    failures: messages.slice(0, 6).map(({ receipt }: { receipt: string }, n: number) => ({
      receipt,
      reason: reasons[n % 3],
      delaySeconds: n === 5 ? 0 : 900,
      dead: n < q % 4
    }))
  })
}
await call('PUT', '/queues/reports', { paused: true })
await call('PUT', '/schedules/daily-report', {
  queue: 'reports',
  cron: '30 6 * * 1-5',
  timezone: 'Europe/Berlin',
  body: { report: 'daily' }
})
await call('PUT', '/schedules/dunning', {
  queue: 'mail',
  cron: '0 9 1 * *',
  timezone: 'Europe/London',
  body: { template: 'dunning' }
})
await call('PUT', '/schedules/reindex', {
  queue: 'search-index',
  cron: '*/15 * * * *',
  body: { full: false }
})
await post('/schedules/reindex/run')

// The hour before, different for each queue, ending with what the queue holds now.
const database = new pg.Client(postgres.url)
await database.connect()
await database.query(`
  with steps as (
    select c.queue_id, s.at, s.n, c.ready, c.delayed, c.leased, c.dead,
      2 + abs(sin(s.n / 9.0 + c.queue_id) * 60) + c.queue_id % 5 * 7 + random() * 8 as rate
    from holdfast.counts c
    cross join lateral (
      select n, (floor(extract(epoch from now()) / 30) * 30 - 3600 + n * 30)::integer as at
      from generate_series(0, 119) n
    ) s
  ),
  sums as (
    select *, sum(rate * 30) over (partition by queue_id order by at) as total
    from steps
  ),
  cleared as (
    delete from holdfast.series
  ),
  written as (
    insert into holdfast.series (
      queue_id, at, ready, delayed, leased, dead, enqueued_total, acked_total, failed_total
    )
    select
      queue_id,
      at,
      greatest(0, ready + (sin(n / 7.0 + queue_id) * 40)::integer),
      delayed,
      greatest(0, leased + (sin(n / 3.0) * 3)::integer),
      dead,
      total,
      total * 0.97,
      total * 0.02
    from sums
    on conflict do nothing
  ),
  timed as (
    insert into holdfast.times (queue_id, at, waits, works)
    select
      queue_id,
      at,
      array[2, 3, 5, 9, 14, 22, 30, 18 + n % 7, 9, 4 + n % 3, 2, 1],
      '{}'::integer[]
    from sums
    on conflict do nothing
  )
  update holdfast.counts c
  set enqueued_total = s.total, acked_total = s.total * 0.97, failed_total = s.total * 0.02
  from sums s
  where s.n = 119 and s.queue_id = c.queue_id`)
await database.end()

// Messages flow while the pictures are taken.
const flow = setInterval(async () => {
  for (const queue of ['orders', 'mail', 'payments', 'webhooks']) {
    await post(`/queues/${queue}/messages`, { messages: Array(8).fill({ body: {} }) })
    const { messages } = await post(`/queues/${queue}/lease`, { max: 7, leaseSeconds: 60 })
    if (messages?.length > 0) {
      await post(`/queues/${queue}/ack`, {
        receipts: messages.map(({ receipt }: { receipt: string }) => receipt)
      })
    }
  }
}, 400)

const browser = await chromium.launch({ executablePath: chromiumPath!, args: chromiumArgs })
const {
  messages: [delayed]
} = await call('GET', '/queues/webhooks/messages?state=delayed&reason=HTTP&limit=1')
const pages = {
  queues: ['#/', 'tr .spark .line'],
  queue: ['#/queues/webhooks?state=dead', '.list tbody tr'],
  message: [`#/queues/webhooks/messages/${delayed?.id ?? 1}`, '.timeline'],
  schedules: ['#/schedules', '.card']
} as const
for (const colorScheme of ['light', 'dark'] as const) {
  const viewport = { width: 1280, height: 800 }
  const context = await browser.newContext({ viewport, deviceScaleFactor: 1, colorScheme })
  const page = await context.newPage()
  for (const [name, [hash, wanted]] of Object.entries(pages)) {
    await page.goto(`${url}/console`)
    await page.evaluate(`location.hash = ${JSON.stringify(hash)}`)
    await page.locator(wanted).first().waitFor()
    await page.waitForTimeout(5000) // until the rates are known
    await page.screenshot({ path: `docs/console/${name}-${colorScheme}.png` })
  }
}
clearInterval(flow)
await browser.close()
await running.stop()
await postgres.stop()
await rm(folder, { recursive: true })
