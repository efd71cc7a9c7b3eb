/**
 * The subjects: the programs that are measured. Each runs in a process of its own, and has a
 * database of its own if it needs one.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import pg from 'pg'
import { secretFor } from '../src/fronts/sqs/signature.ts'
import type { Embedded } from '../src/store/setup/embedded.ts'
import type { Credentials } from './dialects.ts'
import type { PeerName } from './peers.ts'
import { startArguments } from './startCommand.ts'
import { tenTopic } from './topic.ts'

/**
 * `holdfast` is this checkout, and `processes` is the same with two processes on its port. SQS clients
 * meet `signed` with a key in force, and `unsigned` without any. `other` is Holdfast of the commit
 * that --against names.
 */
export type SubjectName = 'holdfast' | 'processes' | 'signed' | 'unsigned' | 'other' | PeerName

export interface Subject {
  name: SubjectName
  databaseName: string
  port: number
  pid: number
  /** null: it keeps nothing in PostgreSQL. */
  database: pg.Pool | null
  /** By which requests are signed. */
  credentials?: Credentials
  stop(): Promise<void>
}

export const checkout = fileURLToPath(new URL('..', import.meta.url))

const startLimitMs = 60_000

const isHoldfast = (name: SubjectName) => /^(holdfast|processes|signed|unsigned|other)$/.test(name)

/** Whether loads speak to it as clients of SQS do. */
export const speaksSqs = ({ name }: Subject): boolean => /^(signed|unsigned|fauxqs)$/.test(name)

const signingSecret = 'a secret for the signatures of the benchmark'
const signingSecretFile = join(checkout, 'data/bench/signing-secret')

/**
 * Starts a subject. `folder` holds its program: this checkout or another one. `database` is
 * appended to the database's name.
 */
export async function startSubject(
  name: SubjectName,
  postgres: Embedded,
  { folder = checkout, database = '' } = {}
): Promise<Subject> {
  const databaseName = `bench_${name}${database === '' ? '' : `_${database}`}`
  const pool = name in statements ? await openDatabase(postgres, databaseName) : null
  const child = await start(name, folder, postgres.url.replace('/holdfast?', `/${databaseName}?`))
  const subject: Subject = {
    name,
    databaseName,
    port: 0,
    pid: child.pid!,
    database: pool,
    async stop() {
      child.kill('SIGTERM')
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
      await pool?.end()
    }
  }
  try {
    subject.port = await portOf(child)
    if (name === 'signed') subject.credentials = await makeSigned(subject.port)
    else if (name === 'unsigned') await callSqs(subject.port, 'CreateQueue', { QueueName: 'bench' })
    else if (isHoldfast(name)) await makeQueues(subject.port)
    return subject
  } catch (error) {
    await subject.stop()
    throw error
  }
}

async function start(name: SubjectName, folder: string, databaseUrl: string): Promise<ChildProcess> {
  if (name === 'signed') await writeFile(signingSecretFile, signingSecret)
  const args = isHoldfast(name) ? await startArguments(folder) : ['bench/peers.ts', name, databaseUrl]
  // Our own options go before them, so that `node --cpu-prof bench/main.ts` profiles subjects too.
  const child = spawn(process.execPath, [...process.execArgv, ...args], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      PATH: process.env.PATH,
      ...(isHoldfast(name) && { HOLDFAST_DATABASE_URL: databaseUrl, HOLDFAST_PORT: '0' }),
      ...(name === 'holdfast' && { HOLDFAST_PUSH_PRIVATE: 'on' }),
      ...(name === 'processes' && { HOLDFAST_PROCESSES: '2' }),
      ...(name === 'signed' && { HOLDFAST_SIGNING_SECRET_FILE: signingSecretFile })
    }
  })
  await once(child, 'spawn')
  return child
}

/** The port that a subject says it serves on. A subject that names none in time is killed. */
async function portOf(child: ChildProcess): Promise<number> {
  const limit = setTimeout(() => child.kill('SIGKILL'), startLimitMs)
  let port: number | undefined
  for await (const line of createInterface({ input: child.stdout! })) {
    const match = /serves on http:\/\/127\.0\.0\.1:(\d+)/.exec(line)
    if (match === null) continue
    port = Number(match[1])
    break
  }
  clearTimeout(limit)
  child.stdout!.resume()
  if (port !== undefined) return port
  const program = child.spawnargs.slice(1).join(' ')
  throw new Error(`${program} ended, or did not serve within ${startLimitMs / 1000} s.`)
}

/** Queues that loads may name, and their settings. */
const queues = {
  bench: {},
  ordered: { ordering: 'group' },
  maxLeased: { maxLeased: 1_000_000 },
  rate: { rate: { messages: 1_000_000, perSeconds: 1 } },
  turns: { fairness: 'group' },
  maxLeasedPerGroup: { maxLeasedPerGroup: 1000 },
  ratePerGroup: { ratePerGroup: { messages: 1_000_000, perSeconds: 1 } }
}
export type QueueName = keyof typeof queues

async function makeQueues(port: number): Promise<void> {
  for (const [name, settings] of Object.entries(queues)) {
    await fetch(`http://127.0.0.1:${port}/queues/${name}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(settings)
    })
  }
  for (const queue of tenTopic.queues) {
    await fetch(`http://127.0.0.1:${port}/topics/${tenTopic.name}/subscriptions/${queue}`, { method: 'PUT' })
  }
}

/** A queue as clients of SQS make it, and a key. From then on each request must be signed. */
async function makeSigned(port: number): Promise<Credentials> {
  await callSqs(port, 'CreateQueue', { QueueName: 'bench' })
  const answer = await fetch(`http://127.0.0.1:${port}/keys`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'bench', rights: ['admin'] })
  })
  const { id } = (await answer.json()) as { id: string }
  return { keyId: id, secret: secretFor(Buffer.from(signingSecret), id) }
}

/**
 * Lets the server write a gigabyte of WAL and take a checkpoint. It then has old WAL files to write
 * over, like a server that has run for a while. A fresh server zeroes and flushes new files all the
 * time that is measured.
 */
export async function season(postgres: Embedded): Promise<void> {
  const client = await connect(postgres)
  await client.query(`
    create table ballast as
    select repeat(md5(n::text), 60) as text
    from generate_series(1, 500000) as n`)
  await client.query('drop table ballast')
  await client.query('checkpoint')
  await client.end()
}

/** The server's end cuts idle sessions, which is no failure. A query under way fails by itself. */
const ignore = () => {}

async function connect(postgres: Embedded, database = postgres.config.database): Promise<pg.Client> {
  const client = new pg.Client({ ...postgres.config, database })
  client.on('error', ignore)
  await client.connect()
  return client
}

async function openDatabase(postgres: Embedded, name: string): Promise<pg.Pool> {
  const admin = await connect(postgres)
  const { rowCount } = await admin.query('select from pg_database where datname = $1', [name])
  if (rowCount === 0) await admin.query(`create database ${name}`)
  await admin.end()
  return new pg.Pool({ ...postgres.config, database: name, max: 1 }).on('error', ignore)
}

export async function dropDatabase({ databaseName }: Subject, postgres: Embedded): Promise<void> {
  const admin = await connect(postgres)
  await admin.query(`drop database if exists ${databaseName} with (force)`)
  await admin.end()
}

/** A session of its own on a subject's database. */
export async function connectTo({ databaseName }: Subject, postgres: Embedded): Promise<pg.Client> {
  return await connect(postgres, databaseName)
}

const emptyOther = `
  truncate holdfast.messages, holdfast.leases, holdfast.ledger, holdfast.counts, holdfast.history;
  insert into holdfast.counts (queue_id) select id from holdfast.queues`
const ofOther = { count: 'select count(*) as n from holdfast.messages', empty: emptyOther }
const ofHoldfast = { ...ofOther, empty: `truncate holdfast.lines; ${emptyOther}` }
/** What counts the messages of a subject in its database, and what removes them. */
const statements: { [name in SubjectName]?: { count: string; empty: string } } = {
  holdfast: ofHoldfast,
  processes: ofHoldfast,
  signed: ofHoldfast,
  unsigned: ofHoldfast,
  other: ofOther,
  plain: { count: 'select count(*) as n from plain', empty: 'truncate plain' },
  pgboss: {
    count: "select count(*) as n from pgboss.job where name = 'bench' and state < 'completed'",
    empty: 'truncate pgboss.job'
  }
}

/** Messages in the database, counted by row; null for a subject that keeps none there. */
export async function countStored({ name, database }: Subject): Promise<number | null> {
  if (database === null) return null
  const { rows } = await database.query<{ n: string }>(statements[name]!.count)
  return Number(rows[0]!.n)
}

/** Removes all messages, so that each slice meets tables without a past. */
export async function empty({ name, port, database }: Subject): Promise<void> {
  if (name !== 'fauxqs') await database?.query(statements[name]!.empty)
  else {
    const QueueUrl = 'http://sqs.us-east-1.localhost/000000000000/bench'
    await callSqs(port, 'PurgeQueue', { QueueUrl })
  }
}

async function callSqs(port: number, action: string, input: object): Promise<void> {
  await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-amz-json-1.0', 'x-amz-target': `AmazonSQS.${action}` },
    body: JSON.stringify(input)
  })
}
