/**
 * Starts what is measured, each in a process of its own, and reads what it has used: processor
 * time, memory, WAL, flushes, rows.
 */
import { fork, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import type { Embedded } from '../src/store/setup/embedded.ts'
import type { Load, LoadEvent, LoadResult } from './load.ts'
import type { PeerName } from './peers.ts'

export type SubjectName = 'holdfast' | PeerName

export interface Subject {
  name: SubjectName
  databaseName: string
  port: number
  pid: number
  /** null: it keeps nothing in PostgreSQL. */
  database: pg.Pool | null
  stop(): Promise<void>
}

/** What a subject has used so far. */
type Reading = Omit<Usage, 'databaseCpuMs'> & { sessionsCpuMs: Map<number, number> | null }

/**
 * What a slice used within its window. Processor times are null where the system does not tell (it
 * does on Linux).
 */
export interface Usage {
  serviceCpuMs: number | null
  databaseCpuMs: number | null
  walBytes: number
  flushes: number
  buffers: number
}

const folder = fileURLToPath(new URL('..', import.meta.url))
const tickMs = 10 // of /proc's processor times: sysconf(_SC_CLK_TCK) is 100 wherever Node runs

/** Starts one, with a database of its own if it needs one. */
export async function startSubject(name: SubjectName, postgres: Embedded, database = ''): Promise<Subject> {
  const stored = name === 'holdfast' || name === 'plain' || name === 'pgboss'
  const databaseName = `bench_${name}${database === '' ? '' : `_${database}`}`
  const pool = stored ? await openDatabase(postgres, databaseName) : null
  const url = postgres.url.replace('/holdfast?', `/${databaseName}?`)
  const args = name === 'holdfast' ? await startArguments() : ['bench/peers.ts', name, url]
  const child = spawn(process.execPath, [...process.execArgv, ...args], {
    // so that node --cpu-prof profiles what is measured too
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      ...(name === 'holdfast' && { HOLDFAST_DATABASE_URL: url, HOLDFAST_PORT: '0' })
    }
  })
  const port = await portOf(child)
  if (name === 'holdfast') {
    await fetch(`http://127.0.0.1:${port}/queues/bench`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: '{}'
    }).catch(error => {
      child.kill()
      throw error
    })
  }
  return {
    name,
    databaseName,
    port,
    pid: child.pid!,
    database: pool,
    async stop() {
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      await pool?.end()
    }
  }
}

/** What npm start hands to Node.js: what is measured is what is run. */
async function startArguments(): Promise<string[]> {
  const { scripts } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
  return scripts.start.split(' node ')[1].split(' ')
}

/**
 * Lets the server write a gigabyte of WAL and take a checkpoint: a fresh one would make new WAL
 * files, zeroed and flushed, all the time that is measured, where one that has run for a while has
 * old ones to write over.
 */
export async function season(postgres: Embedded): Promise<void> {
  const client = new pg.Client(postgres.config)
  await client.connect()
  await client.query(
    'create table ballast as select repeat(md5(n::text), 60) as text from generate_series(1, 500000) as n'
  )
  await client.query('drop table ballast')
  await client.query('checkpoint')
  await client.end()
}

async function openDatabase(postgres: Embedded, name: string): Promise<pg.Pool> {
  const admin = new pg.Client(postgres.config)
  await admin.connect()
  const { rowCount } = await admin.query('select from pg_database where datname = $1', [name])
  if (rowCount === 0) await admin.query(`create database ${name}`)
  await admin.end()
  return new pg.Pool({ ...postgres.config, database: name, max: 1 })
}

export async function dropDatabase({ databaseName }: Subject, postgres: Embedded): Promise<void> {
  const admin = new pg.Client(postgres.config)
  await admin.connect()
  await admin.query(`drop database if exists ${databaseName} with (force)`)
  await admin.end()
}

/** A session of its own on a subject's database. */
export async function connectTo({ databaseName }: Subject, postgres: Embedded): Promise<pg.Client> {
  const client = new pg.Client({ ...postgres.config, database: databaseName })
  await client.connect()
  return client
}

async function portOf(child: ChildProcess): Promise<number> {
  for await (const line of createInterface({ input: child.stdout! })) {
    const match = /serves on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)
    if (match === null) continue
    child.stdout!.resume()
    return Number(match[1])
  }
  throw new Error(`${child.spawnargs.slice(1).join(' ')} ended before it served.`)
}

const stored: Record<'holdfast' | 'plain' | 'pgboss', string> = {
  holdfast: 'select count(*) as n from holdfast.messages',
  plain: 'select count(*) as n from plain',
  pgboss: "select count(*) as n from pgboss.job where name = 'bench' and state < 'completed'"
}

const emptied: Record<'holdfast' | 'plain' | 'pgboss', string> = {
  holdfast: 'truncate holdfast.messages, holdfast.leases, holdfast.ledger, holdfast.counts, holdfast.history',
  plain: 'truncate plain',
  pgboss: 'truncate pgboss.job'
}

const queueUrl = 'http://sqs.us-east-1.localhost/000000000000/bench'

/** Messages in the database, counted by row; null for what keeps none there. */
export async function countStored({ name, database }: Subject): Promise<number | null> {
  if (database === null) return null
  return Number((await database.query(stored[name as keyof typeof stored])).rows[0].n)
}

/** Empties it, so that every slice meets tables without a past. */
export async function empty(subject: Subject): Promise<void> {
  if (subject.name === 'fauxqs') {
    await fetch(`http://127.0.0.1:${subject.port}/`, {
      method: 'POST',
      headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': 'AmazonSQS.PurgeQueue' },
      body: JSON.stringify({ QueueUrl: queueUrl })
    })
  } else if (subject.database !== null) {
    await subject.database.query(emptied[subject.name as keyof typeof emptied])
  }
}

/** Runs a load to its end without reading anything. */
export async function drive(
  subject: Subject,
  load: Omit<Load, 'port' | 'dialect' | 'queue'>,
  onEvent: (event: 'window' | 'end') => void = () => {}
): Promise<LoadResult> {
  const generator = fork(new URL('load.ts', import.meta.url))
  generator.send({
    port: subject.port,
    dialect: subject.name === 'fauxqs' ? 'sqs' : 'rest',
    queue: 'bench',
    ...load
  } satisfies Load)
  try {
    return await new Promise<LoadResult>((resolve, reject) => {
      generator.on('message', (event: LoadEvent) => {
        if (event.event === 'result') resolve(event.result)
        else onEvent(event.event)
      })
      generator.once('exit', code => reject(new Error(`the load generator ended with ${code}`)))
    })
  } finally {
    generator.kill()
  }
}

/**
 * The same, with what the service and the database used between the beginning and the end of the
 * measured window.
 */
export async function measure(
  subject: Subject,
  load: Omit<Load, 'port' | 'dialect' | 'queue'>
): Promise<LoadResult & Usage> {
  const readings: Promise<Reading>[] = []
  const result = await drive(subject, load, () => readings.push(read(subject)))
  const [before, after] = await Promise.all(readings)
  if (result.errors === 0 && after === undefined) {
    throw new Error(`${subject.name}: the load ended before anything was measured.`)
  }
  if (after === undefined) {
    return { ...result, serviceCpuMs: null, databaseCpuMs: null, walBytes: 0, flushes: 0, buffers: 0 }
  }
  const minus = (a: number | null, b: number | null) => (a === null || b === null ? null : a - b)
  return {
    ...result,
    serviceCpuMs: minus(after.serviceCpuMs, before!.serviceCpuMs),
    databaseCpuMs: usedBetween(before!.sessionsCpuMs, after.sessionsCpuMs),
    walBytes: after.walBytes - before!.walBytes,
    flushes: after.flushes - before!.flushes,
    buffers: after.buffers - before!.buffers
  }
}

async function read(subject: Subject): Promise<Reading> {
  const [serviceCpuMs, sessionsCpuMs, stored] = await Promise.all([
    cpuOf(subject.pid),
    sessionsCpuOf(subject),
    readStored(subject.database)
  ])
  return { serviceCpuMs, sessionsCpuMs, ...stored }
}

// Only what the sessions of callers have done: the WAL writer flushes by itself, durable or not.
async function readStored(
  database: pg.Pool | null
): Promise<{ walBytes: number; flushes: number; buffers: number }> {
  if (database === null) return { walBytes: 0, flushes: 0, buffers: 0 }
  const {
    rows: [row]
  } = await database.query(`
    select pg_current_wal_insert_lsn() - '0/0'::pg_lsn as bytes,
      (select sum(fsyncs) from pg_stat_io where object = 'wal' and backend_type = 'client backend') as flushes,
      (select sum(hits) + sum(reads) from pg_stat_io where object = 'relation' and backend_type = 'client backend') as buffers`)
  return { walBytes: Number(row.bytes), flushes: Number(row.flushes), buffers: Number(row.buffers) }
}

async function cpuOf(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  if (text === null) return null
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number) // from the third field on
  return (fields[11]! + fields[12]!) * tickMs
}

// By session, and only those on the subject's own database, vacuums among them: the server also
// works for the others, and the time of a session that ends goes over to its parent, as if it had
// all been used within one slice.
async function sessionsCpuOf({ database }: Subject): Promise<Map<number, number> | null> {
  if (database === null) return null
  const { rows } = await database.query('select pid from pg_stat_activity where datname = current_database()')
  const sessions = new Map<number, number>()
  for (const { pid } of rows) {
    // In nanoseconds, but of one thread alone, which is all that a session is.
    const text = await readFile(`/proc/${pid}/schedstat`, 'utf8').catch(() => null)
    if (text !== null) sessions.set(pid, Number(text.split(' ')[0]) / 1e6)
  }
  return sessions.size === 0 ? null : sessions
}

/** What sessions have used between two readings; one that began in between counts from its beginning. */
function usedBetween(before: Map<number, number> | null, after: Map<number, number> | null): number | null {
  if (before === null || after === null) return null
  return [...after].reduce((sum, [pid, cpuMs]) => sum + cpuMs - (before.get(pid) ?? 0), 0)
}

/** Resident memory of a process, in bytes. */
export async function memoryOf(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => null)
  return text === null ? null : Number(text.split(' ')[1]) * 4096
}
