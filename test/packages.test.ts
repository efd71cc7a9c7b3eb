/**
 * Both packages as npm packs them, in empty folders. The client needs nothing else, and runs on
 * Node.js 20. The service needs no clone, and brings its own Node.js where that of the path is too
 * old. With HOLDFAST_TEST_INSTALL npm installs it from the registry, with all that it needs.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import t from 'tap'
import { client, service } from './support/service.ts'

const run = promisify(execFile)
const root = join(import.meta.dirname, '..')
const tsc = join(import.meta.dirname, '../node_modules/typescript/bin/tsc')
let folder: string

t.before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'holdfast-package-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await run('npm', ['run', 'build'])
  const tarball = await pack('./dist/client')
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  // The name under which documents import it, whichever package has it.
  const spec = `holdfast@file:${tarball}`
  await run('npm', ['install', '--offline', '--no-audit', '--no-fund', spec], { cwd: folder })
})

async function pack(path: string): Promise<string> {
  const args = ['pack', '--silent', '--ignore-scripts', '--pack-destination', folder, path]
  const { stdout } = await run('npm', args, { cwd: root })
  return join(folder, stdout.trim())
}

/** The first Node.js 20 on the path, if there is one. */
async function node20(): Promise<string | undefined> {
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    const node = join(directory, 'node')
    const { stdout } = await run(node, ['--version']).catch(() => ({ stdout: '' }))
    if (stdout.startsWith('v20.')) return node
  }
  return undefined
}

t.test('the client is one package, of the same version, and small', async t => {
  t.strictSame(
    (await readdir(join(folder, 'node_modules'))).filter(name => !name.startsWith('.')),
    ['holdfast']
  )
  const { version } = JSON.parse(await readFile(join(folder, 'node_modules/holdfast/package.json'), 'utf8'))
  t.equal(version, JSON.parse(await readFile(join(root, 'package.json'), 'utf8')).version)
  const python = await readFile(join(root, 'clients/python/pyproject.toml'), 'utf8')
  t.equal(/^version = "(.*)"$/m.exec(python)?.[1], version, 'as the Python package has it')
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
      Client, Dead, HoldfastError, RetryAfter, Worker,
      type LeasedMessage, type Outcome, type QueueReport
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
    export function endOf(outcome: Outcome): string | undefined {
      if (outcome.outcome === 'retrying') return outcome.visibleAt
      if (outcome.outcome === 'dead') return outcome.movedTo
      // @ts-expect-error: only a lease that is extended has a new end
      return outcome.leaseExpiresAt
    }
    export const lost = (error: HoldfastError) => error.code === 'leaseLost'
    // @ts-expect-error: there is no such code
    export const never = (error: HoldfastError) => error.code === 'leaselost'
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

/** Installs the service in an empty folder. The default takes what it needs from this checkout. */
async function install(): Promise<string> {
  const empty = await mkdtemp(join(tmpdir(), 'holdfast-npx-'))
  t.teardown(() => rm(empty, { recursive: true, force: true }))
  const tarball = await pack('.')
  if (process.env.HOLDFAST_TEST_INSTALL !== undefined) {
    await writeFile(join(empty, 'package.json'), '{}')
    await run('npm', ['install', '--no-audit', '--no-fund', tarball], { cwd: empty })
    return empty
  }
  const installed = join(empty, 'node_modules/holdfast')
  await mkdir(join(empty, 'node_modules/.bin'), { recursive: true })
  await run('tar', ['xzf', tarball, '-C', empty])
  await run('mv', [join(empty, 'package'), installed])
  const { dependencies, optionalDependencies, bin } = JSON.parse(
    await readFile(join(installed, 'package.json'), 'utf8')
  )
  for (const name of Object.keys({ ...dependencies, ...optionalDependencies })) {
    const link = join(empty, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(root, 'node_modules', name), link)
  }
  await symlink(join(installed, bin.holdfast), join(empty, 'node_modules/.bin/holdfast'))
  return empty
}

t.test('npx holdfast serves, with nothing but the package, on the Node.js of the path', async t => {
  const empty = await install()
  const node = oldest === undefined ? dirname(process.execPath) : dirname(oldest)
  const child = spawn(join(empty, 'node_modules/.bin/holdfast'), {
    cwd: empty,
    env: { ...process.env, PATH: `${node}:${process.env.PATH}`, HOLDFAST_PORT: '0' },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  t.teardown(() => child.kill('SIGKILL'))
  let url: string | undefined
  for await (const line of createInterface({ input: child.stdout })) {
    url = /serves on (\S+)/.exec(line)?.[1]?.replace(/\W+$/, '')
    if (url !== undefined) break
  }
  const { post, get } = client(url!)
  const commands = (await run('ps', ['-o', 'args=', '--ppid', String(child.pid)])).stdout
  const { config } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  t.ok(commands.includes(config.heap), 'with the memory flags of npm start')
  t.match(await post('/queues/mail/messages', { body: 'hello' }), { status: 201 })
  const { messages } = (await post('/queues/mail/lease')).body
  t.match(messages, [{ body: 'hello' }])
  t.match(await post('/queues/mail/ack', { receipt: messages[0].receipt }), { body: { outcome: 'acked' } })
  for (const path of ['/console', '/console/app.js', '/docs', '/openapi.json', '/metrics']) {
    t.equal((await get(path)).status, 200, path)
  }
  t.ok((await readdir(empty)).includes('data'), 'its database is in the folder where it was started')
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  t.same(await ended, [0, null])
})
