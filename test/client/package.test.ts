/**
 * The package as npm packs it, in an empty folder: neither it nor its types need anything else, and
 * it runs on Node.js 20.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { service } from '../support/service.ts'

const run = promisify(execFile)
const tsc = join(import.meta.dirname, '../../node_modules/typescript/bin/tsc')
let folder: string

t.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-package-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await run('npm', ['run', 'build'])
  const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', folder, './dist/client'])
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', `./${stdout.trim()}`], { cwd: folder })
})

/** The first Node.js 20 on the path, if there is one. */
async function node20(): Promise<string | undefined> {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const node = join(directory, 'node')
    const { stdout } = await run(node, ['--version']).catch(() => ({ stdout: '' }))
    if (stdout.startsWith('v20.')) return node
  }
  return undefined
}

t.test('it is one package, of the same version, and small', async t => {
  t.strictSame(
    (await readdir(join(folder, 'node_modules'))).filter(name => !name.startsWith('.')),
    ['holdfast']
  )
  const { version } = JSON.parse(await readFile(join(folder, 'node_modules/holdfast/package.json'), 'utf8'))
  t.equal(version, JSON.parse(await readFile('package.json', 'utf8')).version)
})

const oldest = await node20()
t.test(
  'a worker runs on Node.js 20',
  { skip: oldest === undefined && 'there is no Node.js 20 on the path' },
  async t => {
    const { url, get } = await service(t)
    await writeFile(
      join(folder, 'worker.js'),
      `
    import { Client, Worker } from 'holdfast/client'
    const url = ${JSON.stringify(url)}
    await new Client({ url }).enqueueMany('packed', [{ body: 1 }, { body: 2 }, { body: 3 }])
    let left = 3
    const worker = new Worker({
      url,
      queue: 'packed',
      concurrency: 2,
      handler ({ body }) { console.log('worked on', body) },
      onSettled () { if (--left === 0) worker.stop() }
    })
    await worker.stopped
    console.log('stopped on', process.version)`
    )
    const { stdout } = await run(oldest!, [join(folder, 'worker.js')])
    t.match(stdout, /^worked on 1\n(.*\n)+stopped on v20\./)
    t.match((await get('/queues/packed')).body.counts, { ready: 0, leased: 0 })
  }
)

t.test('its types need no other package', async t => {
  await writeFile(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      compilerOptions: {
        noEmit: true,
        strict: true,
        exactOptionalPropertyTypes: true,
        target: 'es2022',
        module: 'nodenext',
        types: []
      },
      files: ['typed.ts']
    })
  )
  await writeFile(
    join(folder, 'typed.ts'),
    `
    import {
      Client, Dead, HoldfastError, RetryAfter, Worker, type LeasedMessage, type QueueReport
    } from 'holdfast/client'
    const client = new Client({ url: 'http://127.0.0.1:8080', key: undefined })
    export const worker = new Worker<{ n: number }>({
      url: 'http://127.0.0.1:8080', queue: 'typed', concurrency: undefined,
      async handler ({ body, attempt, fence, message, signal }) {
        const n: number = body.n + attempt + fence
        const leased: LeasedMessage = message
        if (signal.aborted) throw new RetryAfter(n, leased.lastFailure?.reason ?? 'none')
        throw new Dead('no')
      },
      onSettled: ({ outcome }) => outcome === 'acked'
    })
    export const report: Promise<QueueReport> = client.putQueue('typed', { retry: { strategy: 'fixed' } })
    export const when = (error: unknown) =>
      error instanceof HoldfastError ? error.retryAfterSeconds : undefined
    // @ts-expect-error: there is no such option
    client.lease('typed', { maximum: 1 })
    // @ts-expect-error: there is no such strategy
    client.putQueue('typed', { retry: { strategy: 'none' } })`
  )
  const { stdout } = await run(process.execPath, [tsc, '-p', folder]).catch(
    (error: { stdout: string }) => error
  )
  t.equal(stdout, '')
})
