/**
 * A whole service for tests: in this process over a fresh database, or as a process that can be
 * killed.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { startArguments } from '../../bench/startCommand.ts'
import { readConfig } from '../../src/config.ts'
import { startService } from '../../src/service.ts'
import { freshDatabase } from './postgres.ts'

export interface Answer {
  status: number
  headers: Headers
  body: any
  text: string
}

export interface Client {
  url: string
  /**
   * One call. An object is sent as JSON. Text is sent as it is, as JSON unless a content type is
   * given.
   */
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  post(path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  get(path: string): Promise<Answer>
}

export function client(url: string): Client {
  async function call(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {}
  ): Promise<Answer> {
    const isPayload = body === undefined || typeof body === 'string' || body instanceof Uint8Array
    const payload = isPayload ? (body ?? null) : JSON.stringify(body)
    const response = await fetch(url + path, {
      method,
      body: payload as string | null,
      headers: { ...(payload === null ? {} : { 'content-type': 'application/json' }), ...headers }
    })
    const text = await response.text()
    const isJson = /json/.test(response.headers.get('content-type') ?? '')
    return {
      status: response.status,
      headers: response.headers,
      body: isJson && text !== '' ? JSON.parse(text) : text,
      text
    }
  }
  return {
    url,
    call,
    post: (path, body, headers) => call('POST', path, body, headers),
    get: path => call('GET', path)
  }
}

/** With HOLDFAST_TEST_PROCESSES=2, the tests of one service run against a replica of two processes. */
const processes = process.env.HOLDFAST_TEST_PROCESSES
/** With HOLDFAST_TEST_CELLS=2, they run through the router of two cells. */
const cells = process.env.HOLDFAST_TEST_CELLS
/** With HOLDFAST_TEST_POOLER=transaction, they run through PgBouncer in that mode. */
const pooler = process.env.HOLDFAST_TEST_POOLER

/**
 * A service in this process, stopped when `t` ends. Give `database` to run a second replica over
 * it.
 */
export async function service(
  t: Test,
  { database, env = {} }: { database?: { url: string }; env?: Record<string, string> } = {}
): Promise<Client & { databaseUrl: string; stop: () => Promise<void> }> {
  const { url } = database ?? (await freshDatabase(t))
  if (pooler !== undefined && database === undefined) {
    const { transactionPooler } = await import('./pgbouncer.ts')
    env = { ...(await transactionPooler(t, url)).env, ...env }
  }
  if (cells !== undefined && database === undefined) return await behindRouter(t, url, env)
  if (processes !== undefined) return await severalProcesses(t, processes, url, env)
  const running = await startService(
    readConfig({ HOLDFAST_DATABASE_URL: url, HOLDFAST_PORT: '0', HOLDFAST_LOG_LEVEL: 'silent', ...env }),
    () => {}
  )
  let stopped: Promise<void> | undefined
  const stop = () => {
    stopped ??= running.stop()
    return stopped
  }
  t.teardown(stop)
  return { ...client(running.url), databaseUrl: url, stop }
}

/**
 * The service is one of two cells, to which every name belongs. The other one is empty. Calls go
 * through the router.
 */
async function behindRouter(t: Test, databaseUrl: string, env: Record<string, string>) {
  const { startCells } = await import('./cells.ts')
  const settings = { HOLDFAST_PORT: '0', HOLDFAST_LOG_LEVEL: 'silent', HOLDFAST_AUTH: 'off', ...env }
  const start = async (url: string) => {
    const running = await startService(readConfig({ HOLDFAST_DATABASE_URL: url, ...settings }), () => {})
    t.teardown(() => running.stop())
    return { running, cell: { databaseUrl: url, replicas: [running.url] } }
  }
  const [empty, all] = [await start((await freshDatabase(t)).url), await start(databaseUrl)]
  const cells = { empty: empty.cell, all: all.cell }
  const { url } = await startCells(t, cells, { prefixes: { '': 'all' }, queues: {} })
  return { ...client(url), databaseUrl, stop: () => all.running.stop() }
}

async function severalProcesses(t: Test, processes: string, url: string, env: Record<string, string>) {
  const holdfast = await serviceProcess(t, {
    HOLDFAST_DATABASE_URL: url,
    HOLDFAST_PROCESSES: processes,
    ...env
  })
  const stop = async () => {
    holdfast.child.kill('SIGTERM')
    await holdfast.ended
  }
  return { ...client(holdfast.url), databaseUrl: url, stop }
}

/**
 * A service in a process of its own, started as by `npm start`, for tests that kill or stop it.
 * Killed when `t` ends. `said` returns all that it has printed, with its log.
 */
export async function serviceProcess(
  t: Test,
  env: Record<string, string>
): Promise<Client & { child: ChildProcess; ended: Promise<number | null>; said: () => string }> {
  const { PATH, NODE_COMPILE_CACHE } = process.env
  const child = spawn(process.execPath, await startArguments('.'), {
    env: { PATH, NODE_COMPILE_CACHE, HOLDFAST_PORT: '0', HOLDFAST_LOG_LEVEL: 'warn', ...env },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', data => {
      said += data
    })
  }
  child.stderr.pipe(process.stderr, { end: false })
  const ended = once(child, 'exit').then(([code]) => code as number | null)
  t.teardown(() => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
    return ended
  })
  for await (const line of createInterface({ input: child.stdout })) {
    const match = /serves on (http:\/\/\S+),/.exec(line)
    if (match !== null) {
      child.stdout.resume()
      return { ...client(match[1]!), child, ended, said: () => said }
    }
  }
  throw new Error('the service ended before it served')
}
