/**
 * `npm run bench`: measures Holdfast beside its peers on this machine. `npm run bench -- --help`
 * says what can be chosen.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Client } from 'pg'
import { startEmbedded, type Embedded } from '../src/store/setup/embedded.ts'
import { large } from './large.ts'
import { chart, rows, table, targetRows, targetTable, type Results } from './report.ts'
import { scenarios, type Entry, type Figures, type Round } from './scenarios.ts'
import {
  connectTo,
  countStored,
  dropDatabase,
  drive,
  empty,
  measure,
  season,
  startSubject,
  type Subject,
  type SubjectName
} from './subjects.ts'

const help = `npm run bench [-- options]: rates and costs of Holdfast beside its peers, on this machine.

  --rounds N     rounds of each scenario (3)
  --only TEXT    only scenarios whose title holds this text
  --full         the large set-ups instead: millions of messages beside, a held snapshot, 10,000 waiting (about 10 minutes)
  --help         this text

It starts all it needs, takes about 7 minutes, and writes results.json and chart.svg to data/bench.
`
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    full: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false }
  }
})

const folder = fileURLToPath(new URL('../data/bench/', import.meta.url))
const say = (text: string) => process.stdout.write(text)
const progress = (text: string) => {
  if (process.stdout.isTTY) say(`\r\x1b[K${text}`)
}

export class Bench {
  readonly #postgres: Embedded
  readonly #subjects = new Map<string, Subject>()
  /** Messages that a slice of this entry needs, so that it does not run dry. */
  readonly #needs = new Map<Entry, number>()

  constructor(postgres: Embedded) {
    this.#postgres = postgres
  }

  /**
   * The one of this name on this database, started when it is first asked for; `replica` makes a
   * second one beside it.
   */
  async subject(name: SubjectName, { database = '', replica = '' } = {}): Promise<Subject> {
    const key = `${name} ${database} ${replica}`
    const known = this.#subjects.get(key)
    if (known !== undefined) return known
    const subject = await startSubject(name, this.#postgres, database)
    this.#subjects.set(key, subject)
    return subject
  }

  /** Ends one and drops its database. */
  async drop(subject: Subject): Promise<void> {
    for (const [key, value] of this.#subjects) if (value === subject) this.#subjects.delete(key)
    await subject.stop()
    await dropDatabase(subject, this.#postgres)
  }

  async connectTo(subject: Subject): Promise<Client> {
    return await connectTo(subject, this.#postgres)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#subjects.values()].map(subject => subject.stop()))
    await this.#postgres.stop()
  }

  /**
   * One slice of one entry, on empty tables unless they are to be kept; `settled`, after a vacuum,
   * which goes through what was filled once whatever happens to it, and a checkpoint, so that the
   * pages of messages old and new are written whole when they are next touched. Throws where its
   * figures would say nothing.
   */
  async slice(entry: Entry, on?: Subject, { keep = false, settled = false } = {}): Promise<Figures> {
    const subject = on ?? (await this.subject(entry.subject))
    const load = entry.acrossReplicas
      ? { ...entry.load, consumersPort: (await this.subject(entry.subject, { replica: '2' })).port }
      : entry.load
    const consumes = load.step === 'consume' || load.step === 'loop'
    for (;;) {
      if (!keep) await empty(subject)
      const need = this.#needs.get(entry) ?? 10_000 * load.count ** 0.5
      if (consumes) await this.#fill(subject, load, need)
      if (settled) {
        for (const statement of ['vacuum holdfast.messages', 'checkpoint']) {
          await subject.database!.query(statement)
        }
      }
      const before = await countStored(subject)
      const result = await measure(subject, load)
      if (result.errors > 0) {
        throw new Error(`${entry.name}: ${result.errors} requests failed; the first: ${result.error}`)
      }
      this.#needs.set(
        entry,
        result.empty > 0
          ? 2 * need
          : Math.ceil(((1.5 * result.messages) / result.windowMs) * (load.warmMs + load.runMs)) +
              2 * load.callers * load.count
      )
      if (result.empty > 0) continue // the queue ran dry, so it was measured doing nothing
      const stored = await countStored(subject)
      const expected = before! + (load.step === 'latency' ? 0 : consumes ? -result.total : result.total)
      if (stored !== null && stored !== expected) {
        throw new Error(
          `${entry.name}: the database holds ${stored} messages where the callers were told of ${expected}.`
        )
      }
      const durable = subject.database !== null
      if (durable && result.flushes === 0) {
        throw new Error(`${entry.name}: nothing was flushed, so what was measured is not durable.`)
      }
      const seconds = result.windowMs / 1000
      const messages = result.messages / (entry.requestsPerMessage ?? 1)
      const each = (figure: number | null, unit = 1) => (figure === null ? null : (figure * unit) / messages)
      return {
        perSecond: messages / seconds,
        bytesPerSecond: (messages * load.bodyBytes) / seconds,
        p50Ms: result.p50Ms,
        p99Ms: result.p99Ms,
        serviceUs: each(result.serviceCpuMs, 1000),
        databaseUs: durable ? each(result.databaseCpuMs, 1000) : null,
        generatorUs: each(result.cpuMs, 1000)!,
        walBytes: durable ? each(result.walBytes) : null,
        flushes: durable ? each(result.flushes) : null,
        buffers: durable ? each(result.buffers) : null
      }
    }
  }

  async #fill(
    subject: Subject,
    { bodyBytes, priorities }: Entry['load'],
    messagesMax: number
  ): Promise<void> {
    const count = bodyBytes > 10_000 || subject.name === 'fauxqs' ? 10 : 100
    const result = await drive(subject, {
      step: 'enqueue',
      callers: 8,
      count,
      bodyBytes,
      warmMs: 0,
      runMs: 60_000,
      messagesMax,
      ...(priorities && { priorities })
    })
    if (result.errors > 0) throw new Error(`${subject.name}: filling the queue failed: ${result.error}`)
  }
}

async function main(): Promise<void> {
  const chosen = options.full ? [] : scenarios.filter(({ title }) => title.includes(options.only))
  const rounds = Number(options.rounds)
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  progress('Preparing PostgreSQL')
  const postgres = await startEmbedded(folder, line => say(`${line}\n`))
  const bench = new Bench(postgres)
  try {
    await season(postgres)
    const slices = rounds * chosen.reduce((sum, { entries }) => sum + entries.length, 0)
    const startedMs = Date.now()
    let done = 0
    const results: Results = []
    const rehearsed = new Set<string>()
    for (const scenario of chosen) {
      const measured: Round[] = Array.from({ length: rounds }, () => ({}))
      results.push({ scenario, rounds: measured })
      // What a process does for the first time is compiled meanwhile: none is measured doing so.
      for (const entry of scenario.entries) {
        const first = `${entry.subject} ${entry.load.step}`
        if (rehearsed.has(first)) continue
        progress(`Rehearsing · ${scenario.title} · ${entry.name}`)
        await bench.slice(entry)
        rehearsed.add(first)
      }
      for (const [number, round] of measured.entries()) {
        for (let i = 0; i < scenario.entries.length; i++) {
          // so that none is always measured after the same other
          const entry = scenario.entries[(i + number) % scenario.entries.length]!
          const leftMs = done === 0 ? 0 : ((Date.now() - startedMs) / done) * (slices - done)
          progress(
            `${done + 1} of ${slices} · ${scenario.title} · ` +
              `${entry.name}${done === 0 ? '' : ` · ${Math.ceil(leftMs / 60_000)} min left`}`
          )
          round[entry.name] = await bench.slice(entry)
          done++
        }
      }
      progress('')
      say(`${table(rows(results.slice(-1)))}\n`)
    }
    if (options.full) {
      results.push(...(await large(bench, rounds, options.only, progress)))
      progress('')
      say(`${table(rows(results))}\n`)
    }
    say(`${targetTable(targetRows(results))}\n`)
    await writeFile(
      join(folder, 'results.json'),
      `${JSON.stringify({ at: new Date().toISOString(), node: process.version, results }, null, 2)}\n`
    )
    await writeFile(join(folder, 'chart.svg'), chart(results))
    say('Written: data/bench/results.json, data/bench/chart.svg\n')
  } finally {
    await bench.stop()
    await rm(join(folder, 'postgres'), { recursive: true, force: true })
  }
}

if (options.help) say(help)
else {
  await main().catch((error: Error) => {
    say(`\n${error.message}\n`)
    process.exitCode = 1
  })
}
