/**
 * The console without a browser: one read for all open pages, streams that end, files and rights.
 */
import t, { type Test } from 'tap'
import { OverviewCache } from '../../../src/fronts/console/overviewCache.ts'
import type { View } from '../../../src/fronts/console/queueList.ts'
import { openDatabase, type Database } from '../../../src/store/database.ts'
import { oldestReady, overview } from '../../../src/store/verbs/overview.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { service, type Client } from '../../support/service.ts'
import { serviceWithKeys } from './withKeys.ts'

const everything: View = {
  search: '',
  sort: 'name',
  descending: false,
  page: 0,
  limit: 50,
  within: { names: [], prefixes: [''] }
}

/**
 * A page's event stream. `next` answers with the data of the next event, or undefined at the end.
 * `end` resolves at the end.
 */
async function stream(t: Test, holdfast: Client, path: string, key?: string) {
  const stop = new AbortController()
  t.teardown(() => stop.abort())
  const response = await fetch(holdfast.url + path, {
    signal: stop.signal,
    headers: key === undefined ? {} : { authorization: `Bearer ${key}` }
  })
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  const next = async (): Promise<any> => {
    for (;;) {
      const end = text.indexOf('\n\n')
      if (end >= 0) {
        const event = text.slice(0, end)
        text = text.slice(end + 2)
        if (event.startsWith('data: ') && !event.startsWith('data: {"sparks"')) {
          return JSON.parse(event.slice(6))
        }
        continue
      }
      const { value, done } = await reader.read().catch(() => ({ value: undefined, done: true }))
      if (done) return undefined
      text += value
    }
  }
  const end = async () => {
    while ((await next()) !== undefined) {
      /* what was on its way */
    }
  }
  return { status: response.status, next, end }
}

/** Ten thousand queues, with what three of them have in the ledger, and one message an hour old. */
async function tenThousandQueues(t: Test): Promise<Database> {
  const { url } = await freshDatabase(t)
  const database = openDatabase({ connectionString: url }, { poolSize: 2, onError: () => {} })
  t.teardown(() => database.close())
  await database.query(`
    with made as (
      insert into holdfast.queues (name)
      select 'queue-' || n
      from generate_series(1, 10000) n
      returning id
    )
    insert into holdfast.counts (queue_id, ready, dead, acked_total)
    select id, id % 1000, id % 7, id
    from made`)
  await database.query(`
    insert into holdfast.ledger (queue_id, dead)
    select id, 1000000 + id
    from holdfast.queues
    where id <= 3`)
  await database.query(`
    insert into holdfast.messages (id, position, enqueued_at, queue_id, rank)
    select id, id, now() - interval '1 hour', id, 8
    from holdfast.queues
    where name = 'queue-777'`)
  return database
}

t.test(
  'ten thousand queues are one read for all open pages together, and none while no page is open',
  async t => {
    const database = await tenThousandQueues(t)
    let reads = 0
    let tookMs = 0
    const errors: unknown[] = []
    const overviewCache = new OverviewCache({
      overview: async () => {
        reads++
        const beganMs = performance.now()
        const answer = await overview(database)
        tookMs = performance.now() - beganMs
        return answer
      },
      oldestReady: ids => {
        t.ok(ids.length <= 200, 'ages are read of a bounded number of queues')
        return oldestReady(database, ids)
      },
      sparks: async names => {
        t.ok(names.length <= 100, 'the last hour is read of a bounded number of queues')
        return new Map()
      },
      onError: error => errors.push(error)
    })
    t.teardown(() => overviewCache.close())
    /** Opens a page. Resolves with its end when it has shown a read of this number or later. */
    const open = (read: number) =>
      new Promise<() => void>(resolve => {
        const close = overviewCache.watch(() => {
          overviewCache.page(everything)
          if (reads >= read) resolve(close)
        })
      })

    const closers = await Promise.all(Array.from({ length: 50 }, () => open(1)))
    t.equal(reads, 1, 'fifty pages, one read')
    t.comment(`${Math.round(tookMs)} ms, with what else this machine does`)
    t.match(
      overviewCache.page({ ...everything, sort: 'dead', descending: true, limit: 3 }),
      {
        matched: 10_000,
        total: 10_000,
        rows: [{ dead: 1_000_006 }, { dead: 1_000_004 }, { dead: 1_000_002 }]
      },
      'what the sweeper has not folded yet counts'
    )

    overviewCache.row('queue-777')
    closers.push(await open(2))
    const { oldestReadySeconds } = overviewCache.row('queue-777')!
    t.ok(
      oldestReadySeconds! >= 3600 && oldestReadySeconds! < 3900,
      `a queue that is shown has its age in the next read: ${oldestReadySeconds} s`
    )

    for (const close of closers) close()
    const readsBefore = reads
    overviewCache.watch(() => {})()
    await new Promise(setImmediate)
    t.equal(reads, readsBefore, 'no page is open')
    t.strictSame(errors, [])
  }
)

t.test('a stream tells of what changes', async t => {
  const holdfast = await service(t)
  const all = await stream(t, holdfast, '/console/live')
  t.match(await all.next(), { rows: [], total: 0 })
  await holdfast.post('/queues/mail/messages', { body: 1 })
  t.match(await all.next(), { rows: [{ queue: 'mail', ready: 1, paused: false }], sums: { ready: 1 } })
  const mail = await stream(t, holdfast, '/console/live/mail')
  t.match(await mail.next(), { row: { queue: 'mail', ready: 1 } })
  const none = await stream(t, holdfast, '/console/live/none')
  t.match(await none.next(), { row: null })
  const searched = await stream(t, holdfast, '/console/live?search=__proto__')
  t.match(await searched.next(), { rows: [], matched: 0, total: 1 })
})

t.test('a stream refuses a query that it does not understand', async t => {
  const holdfast = await service(t)
  const queries = [
    'sort=__proto__',
    'sort=constructor',
    'limit=1e9',
    'page=-1',
    `search=${'x'.repeat(81)}`,
    'descending=maybe',
    '__proto__=1'
  ]
  for (const query of queries) {
    t.match(
      await holdfast.get(`/console/live?${query}`),
      { status: 400, body: { code: 'invalidRequest' } },
      query
    )
  }
})

t.test('a replica serves at most 100 streams, and they do not hold up its end', async t => {
  const holdfast = await service(t)
  await holdfast.call('PUT', '/queues/mail', {})
  const all = Array.from({ length: 99 }, () => stream(t, holdfast, '/console/live'))
  const streams = await Promise.all([...all, stream(t, holdfast, '/console/live/mail')])
  t.ok(streams.every(({ status }) => status === 200))
  t.match(await holdfast.get('/console/live'), { status: 429, body: { code: 'tooManyWaiting' } })
  const beganMs = performance.now()
  await holdfast.stop()
  t.ok(performance.now() - beganMs < 8000, 'open pages do not hold up the end')
  for (const { end } of streams) await end()
})

t.test('the files of the console are open to all and hold no data', async t => {
  const { holdfast } = await serviceWithKeys(t)
  const page = await holdfast.get('/console')
  t.equal(page.status, 200)
  const policy = page.headers.get('content-security-policy')!
  t.match(policy, /default-src 'none'/)
  t.notMatch(policy, /unsafe|data:|https?:|\*/)
  t.notMatch(page.text, /<script>|style=|\son\w+=/i, 'nothing inline')
  for (const [, file] of page.text.matchAll(/(?:src|href)="(console\/[^"]+)"/g)) {
    const { status, headers } = await holdfast.get(`/${file}`)
    t.equal(status, 200, file!)
    const etag = headers.get('etag')!
    const again = await holdfast.call('GET', `/${file}`, undefined, { 'if-none-match': etag })
    t.equal(again.status, 304, file!)
  }
  for (const path of ['/console/rights', '/console/live', '/console/live/mail']) {
    t.equal((await holdfast.get(path)).status, 401, path)
  }
})

t.test('a page sees what its key may browse, until the key is revoked', async t => {
  const { holdfast, secret, admin, makeKey } = await serviceWithKeys(t)
  for (const queue of ['mail', 'orders-a', 'orders-b', 'secret']) {
    await holdfast.call('PUT', `/queues/${queue}`, {}, admin)
  }
  const key = await makeKey(['browse:orders-*', 'manage:orders-a', 'enqueue:mail'])
  const get = (path: string) => holdfast.call('GET', path, undefined, key.headers)
  t.match((await get('/console/rights')).body, {
    signedIn: true,
    admin: false,
    rights: {
      browse: { names: [], prefixes: ['orders-'] },
      manage: { names: ['orders-a'] },
      enqueue: { names: ['mail'] },
      lease: { names: [], prefixes: [] }
    }
  })
  const orders = await stream(t, holdfast, '/console/live', key.secret)
  t.match(await orders.next(), { total: 2, rows: [{ queue: 'orders-a' }, { queue: 'orders-b' }] })
  t.equal((await get('/console/live/secret')).status, 404, 'it is not there for this key')
  t.equal((await get('/console/live/mail')).status, 403)

  await Promise.all(Array.from({ length: 49 }, () => stream(t, holdfast, '/console/live', key.secret)))
  t.match(
    await get('/console/live'),
    { status: 429, body: { code: 'shareUsedUp' } },
    'no key has more than half of the streams'
  )
  t.equal((await stream(t, holdfast, '/console/live', secret)).status, 200)
  await holdfast.call('DELETE', `/keys/${key.id}`, undefined, admin)
  await orders.end()
  t.equal((await get('/console/live')).status, 401)
})
