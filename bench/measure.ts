/**
 * Runs one load against one subject, and reads what the subject used meanwhile: processor time,
 * WAL, flushes, buffers.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import type pg from 'pg'
import { interrupted } from './interrupt.ts'
import type { Load, LoadEvent, LoadResult } from './slice.ts'
import { speaksSqs, type QueueName, type Subject } from './subjects.ts'

/**
 * What a slice used within its window. Processor times are null where the system does not tell
 * them (Linux does).
 */
export interface Usage {
  serviceCpuMs: number | null
  databaseCpuMs: number | null
  walBytes: number
  flushes: number
  buffers: number
}

/** What a subject has used since it started. */
type Reading = Omit<Usage, 'databaseCpuMs'> & { sessionsCpuMs: Map<number, number> | null }

export type SubjectLoad = Omit<Load, 'port' | 'dialect' | 'credentials' | 'queue'> & { queue?: QueueName }

const tickMs = 10 // of /proc's processor times: sysconf(_SC_CLK_TCK) is 100 wherever Node.js runs

/** Runs a load to its end, in a load generator of its own, and reads nothing. */
export async function drive(
  subject: Subject,
  load: SubjectLoad,
  onEvent: (event: 'window' | 'end') => void = () => {}
): Promise<LoadResult> {
  interrupted.throwIfAborted()
  const generator = fork(new URL('load.ts', import.meta.url), { signal: interrupted })
  generator.send({
    port: subject.port,
    dialect: speaksSqs(subject) ? 'sqs' : 'rest',
    ...(subject.credentials && { credentials: subject.credentials }),
    queue: 'bench',
    ...load
  } satisfies Load)
  try {
    return await resultOf(generator, onEvent)
  } finally {
    generator.kill()
  }
}

async function resultOf(
  generator: ChildProcess,
  onEvent: (event: 'window' | 'end') => void
): Promise<LoadResult> {
  return await new Promise((resolve, reject) => {
    generator.on('message', (event: LoadEvent) => {
      if (event.event === 'result') resolve(event.result)
      else onEvent(event.event)
    })
    generator.once('error', reject)
    generator.once('exit', code => reject(new Error(`The load generator ended with ${code}.`)))
  })
}

/** Runs a load, and reads what service and database used within its measured window. */
export async function measure(subject: Subject, load: SubjectLoad): Promise<LoadResult & Usage> {
  const readings: Promise<Reading>[] = []
  const result = await drive(subject, load, () => readings.push(read(subject)))
  const [before, after] = await Promise.all(readings)
  if (before !== undefined && after !== undefined) return { ...result, ...usedBetween(before, after) }
  if (result.errors === 0) throw new Error(`${subject.name}: the load ended before anything was measured.`)
  return { ...result, serviceCpuMs: null, databaseCpuMs: null, walBytes: 0, flushes: 0, buffers: 0 }
}

function usedBetween(before: Reading, after: Reading): Usage {
  const cpuKnown = before.serviceCpuMs !== null && after.serviceCpuMs !== null
  return {
    serviceCpuMs: cpuKnown ? after.serviceCpuMs! - before.serviceCpuMs! : null,
    databaseCpuMs: sessionsUsed(before.sessionsCpuMs, after.sessionsCpuMs),
    walBytes: after.walBytes - before.walBytes,
    flushes: after.flushes - before.flushes,
    buffers: after.buffers - before.buffers
  }
}

/** Processor time of sessions between two readings. A session begun in between counts whole. */
function sessionsUsed(before: Map<number, number> | null, after: Map<number, number> | null): number | null {
  if (before === null || after === null) return null
  return [...after].reduce((sum, [pid, cpuMs]) => sum + cpuMs - (before.get(pid) ?? 0), 0)
}

async function read(subject: Subject): Promise<Reading> {
  const [serviceCpuMs, sessionsCpuMs, serverUsage] = await Promise.all([
    serviceCpuOf(subject.pid),
    sessionsCpuOf(subject),
    readServer(subject.database)
  ])
  return { serviceCpuMs, sessionsCpuMs, ...serverUsage }
}

/** Counts only callers' sessions: the WAL writer flushes by itself, durable or not. */
async function readServer(
  database: pg.Pool | null
): Promise<{ walBytes: number; flushes: number; buffers: number }> {
  if (database === null) return { walBytes: 0, flushes: 0, buffers: 0 }
  const {
    rows: [row]
  } = await database.query<{ bytes: string; flushes: string; buffers: string }>(`
    select
      pg_current_wal_insert_lsn() - '0/0'::pg_lsn as bytes,
      (
        select sum(fsyncs)
        from pg_stat_io
        where object = 'wal' and backend_type = 'client backend'
      ) as flushes,
      (
        select sum(hits) + sum(reads)
        from pg_stat_io
        where object = 'relation' and backend_type = 'client backend'
      ) as buffers`)
  return { walBytes: Number(row!.bytes), flushes: Number(row!.flushes), buffers: Number(row!.buffers) }
}

/** Processor time of a process and of those that it has started. */
async function serviceCpuOf(pid: number): Promise<number | null> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  const pids = [pid, ...children.split(' ').filter(Boolean).map(Number)]
  const times = await Promise.all(pids.map(cpuOf))
  return times.includes(null) ? null : times.reduce((sum: number, ms) => sum + ms!, 0)
}

/** Processor time of a process, in milliseconds. */
export async function cpuOf(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
  if (text === null) return null
  const fields = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .map(Number) // from the third field on
  return (fields[11]! + fields[12]!) * tickMs
}

/**
 * Processor time by session, of sessions on the subject's own database, vacuums among them. The
 * server's total would mislead. The server works for other subjects too, and a session that ends
 * adds all its time to the total at once.
 */
async function sessionsCpuOf({ database }: Subject): Promise<Map<number, number> | null> {
  if (database === null) return null
  const { rows } = await database.query<{ pid: number }>(
    'select pid from pg_stat_activity where datname = current_database()'
  )
  const sessions = new Map<number, number>()
  for (const { pid } of rows) {
    // In nanoseconds, and of the main thread only. A session has no other.
    const text = await readFile(`/proc/${pid}/schedstat`, 'utf8').catch(() => null)
    if (text !== null) sessions.set(pid, Number(text.split(' ')[0]) / 1e6)
  }
  return sessions.size === 0 ? null : sessions
}

/** Resident memory of a process, in bytes. */
export async function memoryOf(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/statm`, 'utf8').catch(() => null)
  return text === null ? null : Number(text.split(' ')[1]) * 4096
}
