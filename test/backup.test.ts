/**
 * docs/backup.md, as written: its blocks run under load, with PostgreSQL's own tools, and a service
 * starts on what they restore.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { connect, load } from './faults/setup.ts'
import {
  createDebianCluster,
  debianPrograms,
  giveToServer,
  noDebianPostgres,
  startDebianServer
} from './support/debianPostgres.ts'
import { service } from './support/service.ts'

const page = await readFile('docs/backup.md', 'utf8')
const [audit] = /(?<=^## The audit[^]*?```sql\n)[^]*?(?=```)/m.exec(
  await readFile('docs/guarantees.md', 'utf8')
)!

/** The blocks under a heading of the page. */
function blocksUnder(heading: string, language = 'console'): string[] {
  const [, section] = page.split(`\n## ${heading}\n`)
  const text = section!.split('\n## ')[0]!
  return [...text.matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\``, 'gm'))].map(
    ([, block]) => block!
  )
}

/** A server with an archive, and a shell for the blocks of the page. */
async function setUp(t: Test) {
  // A folder of the test would have too long a path for a socket.
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-backup-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  for (const name of ['wal', 'backup', 'bin']) await mkdir(join(folder, name))
  const here = (text: string) => text.replaceAll(/(?<![\w.])\/(wal|backup)\b/g, join(folder, '$1'))
  await giveToServer(join(folder, 'wal'))
  const data = join(folder, 'data')
  await createDebianCluster(data, here(blocksUnder('Any moment', 'text')[0]!))
  const server = await startDebianServer(t, data, join(folder, 'socket'))
  const admin = await connect(t, server.adminUrl)
  await admin.query('create role holdfast login')
  await admin.query('create database holdfast owner holdfast')

  const command = join(folder, 'bin/holdfast')
  await writeFile(command, `#!/bin/sh\nexec '${process.execPath}' '${resolve('bin/holdfast.mjs')}' "$@"\n`)
  await chmod(command, 0o755)
  const shell = async (block: string, env: Record<string, string> = {}) => {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', here(block)], {
      cwd: folder,
      env: {
        PATH: [join(folder, 'bin'), debianPrograms(), process.env.PATH].join(':'),
        HOLDFAST_DATABASE_URL: server.url('holdfast', 'holdfast'),
        ADMIN_URL: server.adminUrl,
        RESTORED_URL: server.url('holdfast', 'holdfast_restored'),
        ...env
      },
      stdio: ['ignore', 'pipe', 'pipe']
    })
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream.on('data', text => (said += text))
    const [code] = await once(child, 'close')
    t.equal(code, 0, `${block}\n${said}`)
  }
  return { folder, server, admin, shell }
}

async function auditOf(t: Test, url: string): Promise<void> {
  const client = await connect(t, url)
  const { rows } = await client.query(audit)
  t.strictSame(rows, [], 'the audit gives no row')
}

async function idsIn(url: string, queue: string): Promise<Set<string>> {
  const client = new pg.Client(url)
  await client.connect()
  const { rows } = await client.query(
    `
    select id
    from holdfast.messages
    where queue_id = (select id from holdfast.queues where name = $1)`,
    [queue]
  )
  await client.end()
  return new Set(rows.map(({ id }) => id))
}

t.test('a dump under load has all that was confirmed before', { skip: noDebianPostgres }, async t => {
  const { server, shell } = await setUp(t)
  const original = await service(t, { database: { url: server.url('holdfast', 'holdfast') } })
  const post = (path: string, body: object) => original.post(path, body)
  await post('/queues/leased/messages', { body: 'held' })
  const held = (await post('/queues/leased/lease', { leaseSeconds: 1 })).body.messages[0]
  await post('/queues/delayed/messages', { body: 'later', delaySeconds: 3600 })
  await original.call('PUT', '/queues/hooks/push', { url: 'https://example.com/' })
  await original.call('PUT', '/schedules/nightly', { queue: 'reports', cron: '0 3 * * *', body: 1 })

  const traffic = load(original, 'busy')
  await traffic.reaching(200)
  const before = [...traffic.confirmed]
  const [dump, restore] = blocksUnder('A dump')
  await shell(dump!)
  const lastDumped = traffic.confirmed.length
  await traffic.reaching(lastDumped + 50)
  await traffic.stop()
  const last = BigInt(traffic.confirmed.at(-1)!)

  await shell(restore!)
  const url = server.url('holdfast', 'holdfast_restored')
  const there = await idsIn(url, 'busy')
  t.strictSame(
    before.filter(id => !there.has(id) && !traffic.acked.has(id) && !traffic.unsure.has(id)),
    [],
    `all of ${before.length} messages are there`
  )
  t.notOk(there.has(String(last)), 'what came later is not')
  for (const heading of ['Renumber', 'A copy beside the original']) await shell(blocksUnder(heading)[0]!)
  await shell(blocksUnder('Check and start')[0]!)

  const copy = await service(t, { database: { url } })
  t.strictSame((await copy.post('/queues/busy/lease', {})).body.messages, [], 'a copy gives out nothing')
  t.equal((await copy.get('/queues/hooks/push')).status, 404)
  t.match((await copy.get('/schedules/nightly')).body, { paused: true, nextRuns: [] })
  for (const queue of ['busy', 'leased']) await copy.call('PUT', `/queues/${queue}`, { paused: false })

  const again = (await copy.post('/queues/leased/lease', { waitSeconds: 10 })).body.messages[0]
  t.match(again, { id: held.id, body: 'held', attempt: 2 }, 'what was leased is leased again')
  t.ok(again.fence > 1_000_000, `fence ${again.fence}`)
  const stale = await copy.post('/queues/leased/ack', { receipt: held.receipt })
  t.match([stale.status, stale.body], [409, { code: 'leaseLost' }])
  t.equal((await copy.post('/queues/leased/ack', { receipt: again.receipt })).status, 200)
  t.equal((await copy.get('/queues/delayed')).body.counts.delayed, 1)
  const { body } = await copy.post('/queues/busy/messages', { body: 'new' })
  t.ok(BigInt(body.id) > last, 'a new id was never given before')
  await auditOf(t, url)
})

const long = process.env.HOLDFAST_TEST_SECONDS !== undefined
const skip = noDebianPostgres || (!long && 'set HOLDFAST_TEST_SECONDS to run it')
t.test('a base backup and the archive go back to the moment before a purge', { skip }, async t => {
  const { folder, server, admin, shell } = await setUp(t)
  const original = await service(t, { database: { url: server.url('holdfast', 'holdfast') } })
  const traffic = load(original, 'busy')
  await traffic.reaching(100)
  const [backup, recover] = blocksUnder('Any moment')
  await shell(backup!)
  await traffic.reaching(traffic.confirmed.length + 500)
  await traffic.stop()
  const wanted = await idsIn(server.url('holdfast', 'holdfast'), 'busy')
  const { rows } = await admin.query('select clock_timestamp()::text as moment')
  await original.post('/queues/busy/purge', {})
  t.equal((await idsIn(server.url('holdfast', 'holdfast'), 'busy')).size, 0)
  await original.stop()
  await admin.end()
  await server.stop() // which archives what is left

  const data = join(folder, 'recovered')
  await shell(recover!, { NEW_PGDATA: data, BEFORE_THE_PURGE: rows[0].moment })
  const recovered = await startDebianServer(t, data, join(folder, 'socket'))
  const url = recovered.url('holdfast', 'holdfast')
  t.strictSame(await idsIn(url, 'busy'), wanted, 'every message from before the purge is there')
  await shell(blocksUnder('Renumber')[0]!, { RESTORED_URL: url })
  await shell(blocksUnder('Check and start')[0]!, { RESTORED_URL: url })
  await auditOf(t, url)
  const restored = await service(t, { database: { url } })
  const [message] = (await restored.post('/queues/busy/lease', {})).body.messages
  t.ok(wanted.has(message.id))
  t.equal((await restored.post('/queues/busy/ack', { receipt: message.receipt })).status, 200)
})
