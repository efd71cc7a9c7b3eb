/**
 * What the console costs and tells: one read for every page that is open, streams that end, and
 * rights. No browser is needed.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { OverviewCache } from '../../../src/fronts/console/overviewCache.ts'
import type { View } from '../../../src/fronts/console/queueList.ts'
import { openDatabase } from '../../../src/store/database.ts'
import { oldestReady, overview } from '../../../src/store/verbs/overview.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { service, type Client } from '../../support/service.ts'

const everything: View = {
  search: '',
  sort: 'name',
  descending: false,
  page: 0,
  limit: 50,
  within: { names: [], prefixes: [''] }
}

/** A page's event stream; `next` answers with the data of the event to come, or undefined at its end. */
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
  return { status: response.status, next, leave: () => stop.abort() }
}

t.test(
  'ten thousand queues are one read for every page that is open, searched and sorted here; and none ' +
    'when nobody looks',
  async t => {
    const { url } = await freshDatabase(t)
    const database = openDatabase({ connectionString: url }, { poolSize: 2, onError: () => {} })
    t.teardown(() => database.close())
    await database.query(`
    with made as (insert into holdfast.queues (name) select 'queue-' || n from generate_series(1, 10000) n returning id)
    insert into holdfast.counts (queue_id, ready, dead, acked_total) select id, id % 1000, id % 7, id from made`)
    await database.query(
      'insert into holdfast.ledger (queue_id, dead) select id, 1000000 + id from holdfast.queues ' +
        'where id <= 3'
    )
    await database.query(
      'insert into holdfast.messages (id, position, enqueued_at, queue_id, rank) select id, id, ' +
        "now() - interval '1 hour', id, 8 from holdfast.queues where name = 'queue-777'"
    )
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
        t.ok(ids.length <= 200, 'a bounded look')
        return oldestReady(database, ids)
      },
      sparks: async names => {
        t.ok(names.length <= 100, 'a bounded look')
        return new Map()
      },
      onError: error => errors.push(error)
    })
    t.teardown(() => overviewCache.close())
    const looks = (view: View) =>
      Array.from(
        { length: 50 },
        () =>
          new Promise<() => void>(resolve => {
            const end = overviewCache.watch(() => {
              overviewCache.page(view)
              resolve(end)
            })
          })
      )
    const ends = await Promise.all(looks(everything))
    t.equal(reads, 1, 'fifty pages, one read')
    t.comment(`${Math.round(tookMs)} ms, with what else this machine does`)
    t.strictSame(
      overviewCache.page({ ...everything, search: 'UE-777', sort: 'name' }).rows.map(({ queue }) => queue),
      [
        'queue-777',
        'queue-7770',
        'queue-7771',
        'queue-7772',
        'queue-7773',
        'queue-7774',
        'queue-7775',
        'queue-7776',
        'queue-7777',
        'queue-7778',
        'queue-7779'
      ]
    )
    t.match(
      overviewCache.page({ ...everything, sort: 'dead', descending: true, limit: 3 }),
      {
        matched: 10_000,
        total: 10_000,
        rows: [{ dead: 1_000_006 }, { dead: 1_000_004 }, { dead: 1_000_002 }]
      },
      'what is not folded yet counts'
    )
    t.equal(overviewCache.page({ ...everything, page: 199 }).rows.length, 50)
    t.equal(overviewCache.page({ ...everything, page: 200 }).rows.length, 0)
    t.strictSame(
      overviewCache.page({ ...everything, within: { names: ['queue-5'], prefixes: ['queue-99'] } }).total,
      112
    )
    // Of those that are shown the age is known at the next read, however many others there are.
    overviewCache.row('queue-777')
    ends.push(
      await new Promise<() => void>(resolve => {
        const end = overviewCache.watch(() => {
          if (reads > 1) resolve(end)
        })
      })
    )
    for (const end of ends) end()
    const { oldestReadySeconds } = overviewCache.row('queue-777')!
    t.ok(oldestReadySeconds! >= 3600 && oldestReadySeconds! < 3900, `${oldestReadySeconds} s`)
    const before = reads
    const end = overviewCache.watch(() => {})
    end()
    await new Promise(setImmediate)
    t.equal(reads, before)
    t.strictSame(errors, [])
  }
)

t.test('a stream tells of what changes, has a limit, and ends with its service', async t => {
  const holdfast = await service(t)
  const first = await stream(t, holdfast, '/console/live')
  t.match(await first.next(), { rows: [], total: 0 })
  await holdfast.post('/queues/mail/messages', { body: 1 })
  t.match(await first.next(), { rows: [{ queue: 'mail', ready: 1, paused: false }], sums: { ready: 1 } })
  const one = await stream(t, holdfast, '/console/live/mail')
  t.match(await one.next(), { row: { queue: 'mail', ready: 1 } })
  t.match(await (await stream(t, holdfast, '/console/live/none')).next(), { row: null })

  const wrong = [
    'sort=__proto__',
    'sort=constructor',
    'limit=1e9',
    'page=-1',
    `search=${'x'.repeat(81)}`,
    'descending=maybe',
    '__proto__=1'
  ]
  for (const query of wrong) {
    t.match(
      await holdfast.get(`/console/live?${query}`),
      { status: 400, body: { code: 'invalidRequest' } },
      query
    )
  }
  t.match(await (await stream(t, holdfast, '/console/live?search=__proto__')).next(), {
    rows: [],
    matched: 0,
    total: 1
  })

  const rest = await Promise.all(Array.from({ length: 96 }, () => stream(t, holdfast, '/console/live')))
  t.ok(rest.every(({ status }) => status === 200))
  t.match(
    await holdfast.get('/console/live'),
    { status: 429, body: { code: 'tooManyWaiting' } },
    'a hundred pages are enough for one replica'
  )
  const beganMs = performance.now()
  await holdfast.stop()
  t.ok(performance.now() - beganMs < 8000, 'open pages do not hold up the end')
  for (const { next } of [first, one, ...rest]) {
    while ((await next()) !== undefined) {
      /* what was on its way */
    }
  }
})

t.test(
  'assets are open and hold no data, everything else asks for a key; a page sees what its key may ' +
    'browse, until the key is revoked',
  async t => {
    const secret = 'an-admin-key-for-this-test-of-the-console'
    const folder = await mkdtemp(join(tmpdir(), 'holdfast-console-'))
    t.teardown(() => rm(folder, { recursive: true }))
    await writeFile(`${folder}/key`, secret)
    const holdfast = await service(t, { env: { HOLDFAST_ADMIN_KEY_FILE: `${folder}/key` } })
    const admin = { authorization: `Bearer ${secret}` }
    const page = await holdfast.get('/console')
    t.equal(page.status, 200)
    const policy = page.headers.get('content-security-policy')!
    t.match(policy, /default-src 'none'/)
    t.notMatch(policy, /unsafe|data:|https?:|\*/)
    for (const [, file] of page.text.matchAll(/(?:src|href)="(console\/[^"]+)"/g)) {
      const asset = await holdfast.get(`/${file}`)
      t.equal(asset.status, 200, file!)
      t.equal(
        (await holdfast.call('GET', `/${file}`, undefined, { 'if-none-match': asset.headers.get('etag')! }))
          .status,
        304
      )
    }
    t.notMatch(page.text, /<script>|style=|\son\w+=/i, 'nothing inline')
    for (const path of ['/console/rights', '/console/live', '/console/live/mail']) {
      t.equal((await holdfast.get(path)).status, 401, path)
    }

    for (const queue of ['mail', 'orders-a', 'orders-b', 'secret']) {
      await holdfast.call('PUT', `/queues/${queue}`, {}, admin)
    }
    const made = await holdfast.call(
      'POST',
      '/keys',
      { name: 'looker', rights: ['browse:orders-*', 'manage:orders-a', 'enqueue:mail'] },
      admin
    )
    const limited = { authorization: `Bearer ${made.body.secret}` }
    while ((await holdfast.call('GET', '/console/rights', undefined, limited)).status !== 200) {
      /* it is known within two seconds */
    }
    t.match((await holdfast.call('GET', '/console/rights', undefined, limited)).body, {
      signedIn: true,
      admin: false,
      rights: {
        browse: { names: [], prefixes: ['orders-'] },
        manage: { names: ['orders-a'] },
        enqueue: { names: ['mail'] },
        lease: { names: [], prefixes: [] }
      }
    })
    const looker = await stream(t, holdfast, '/console/live', made.body.secret)
    t.match(await looker.next(), { total: 2, rows: [{ queue: 'orders-a' }, { queue: 'orders-b' }] })
    t.equal(
      (await holdfast.call('GET', '/console/live/secret', undefined, limited)).status,
      404,
      'it is not there for this key'
    )
    t.equal((await holdfast.call('GET', '/console/live/mail', undefined, limited)).status, 403)
    await Promise.all(
      Array.from({ length: 49 }, () => stream(t, holdfast, '/console/live', made.body.secret))
    )
    t.match(
      await holdfast.call('GET', '/console/live', undefined, limited),
      { status: 429, body: { code: 'tooManyWaiting' } },
      'no key has more than half of the streams'
    )
    t.equal((await stream(t, holdfast, '/console/live', secret)).status, 200)
    await holdfast.call('DELETE', `/keys/${made.body.id}`, undefined, admin)
    while ((await looker.next()) !== undefined) {
      /* what was on its way */
    }
    t.equal((await holdfast.call('GET', '/console/live', undefined, limited)).status, 401)
  }
)
