/** `npm run bench`: measures Holdfast beside its peers on this machine. `npm run bench -- --help` says what can be chosen. */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startEmbedded, type Embedded } from '../src/store/embedded.ts'
import { chart, rows, table, targetRows, targetTable, type Results } from './report.ts'
import { scenarios, type Entry, type Figures, type Round } from './scenarios.ts'
import { countStored, drive, empty, measure, startSubject, type Subject, type SubjectName } from './subjects.ts'

const help = `npm run bench [-- options]: rates and costs of Holdfast beside its peers, on this machine.

  --rounds N     rounds of each scenario (3)
  --only TEXT    only scenarios whose title holds this text
  --help         this text

It starts all it needs, takes about 5 minutes, and writes results.json and chart.svg to data/bench.
`
const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '3' }, only: { type: 'string', default: '' }, help: { type: 'boolean', default: false } } })

const folder = fileURLToPath(new URL('../data/bench/', import.meta.url))
const say = (text: string) => process.stdout.write(text)
const progress = (text: string) => { if (process.stdout.isTTY) say(`\r\x1b[K${text}`) }

class Bench {
  readonly #postgres: Embedded
  readonly #subjects = new Map<string, Subject>()
  /** Messages a second that each entry reached last, to fill the queue for the next slice. */
  readonly #rates = new Map<Entry, number>()

  constructor (postgres: Embedded) {
    this.#postgres = postgres
  }

  async subject (name: SubjectName, replica = ''): Promise<Subject> {
    const known = this.#subjects.get(name + replica)
    if (known !== undefined) return known
    const subject = await startSubject(name, this.#postgres)
    this.#subjects.set(name + replica, subject)
    return subject
  }

  async stop (): Promise<void> {
    await Promise.all([...this.#subjects.values()].map((subject) => subject.stop()))
    await this.#postgres.stop()
  }

  /** One slice of one entry. Throws where its figures would say nothing. */
  async slice (entry: Entry): Promise<Figures> {
    const subject = await this.subject(entry.subject)
    const load = entry.acrossReplicas ? { ...entry.load, consumersPort: (await this.subject(entry.subject, '2')).port } : entry.load
    await empty(subject)
    const consumes = load.step === 'consume' || load.step === 'loop'
    for (let spare = 1.5; ; spare *= 2) {
      const filled = consumes ? await this.#fill(subject, load.bodyBytes, Math.ceil((this.#rates.get(entry) ?? 5000) * spare * (load.warmMs + load.runMs) / 1000) + 2 * load.callers * load.count) : 0
      const result = await measure(subject, this.#postgres, load)
      if (result.errors > 0) throw new Error(`${entry.name}: ${result.errors} requests failed; the first: ${result.error}`)
      const seconds = result.windowMs / 1000
      const messages = result.messages / (entry.requestsPerMessage ?? 1)
      this.#rates.set(entry, messages / seconds)
      if (result.empty > 0) { // the queue ran dry, so it was measured doing nothing
        await empty(subject)
        continue
      }
      const stored = await countStored(subject)
      const expected = load.step === 'latency' ? 0 : consumes ? filled - result.total : result.total
      if (stored !== null && stored !== expected) throw new Error(`${entry.name}: the database holds ${stored} messages where the callers were told of ${expected}.`)
      const durable = subject.database !== null
      if (durable && result.flushes === 0) throw new Error(`${entry.name}: nothing was flushed, so what was measured is not durable.`)
      const each = (figure: number | null, unit = 1) => figure === null ? null : figure * unit / messages
      return {
        perSecond: messages / seconds, bytesPerSecond: messages * load.bodyBytes / seconds, p50Ms: result.p50Ms, p99Ms: result.p99Ms,
        serviceUs: each(result.serviceCpuMs, 1000), databaseUs: durable ? each(result.databaseCpuMs, 1000) : null, generatorUs: each(result.cpuMs, 1000)!,
        walBytes: durable ? each(result.walBytes) : null, flushes: durable ? each(result.flushes) : null, buffers: durable ? each(result.buffers) : null
      }
    }
  }

  async #fill (subject: Subject, bodyBytes: number, messagesMax: number): Promise<number> {
    const result = await drive(subject, { step: 'enqueue', callers: 8, count: bodyBytes > 10_000 || subject.name === 'fauxqs' ? 10 : 100, bodyBytes, warmMs: 0, runMs: 60_000, messagesMax })
    if (result.errors > 0) throw new Error(`${subject.name}: filling the queue failed: ${result.error}`)
    return result.total
  }
}

async function main (): Promise<void> {
  const chosen = scenarios.filter(({ title }) => title.includes(options.only))
  const rounds = Number(options.rounds)
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const bench = new Bench(await startEmbedded(folder, (line) => say(`${line}\n`)))
  try {
    const slices = rounds * chosen.reduce((sum, { entries }) => sum + entries.length, 0)
    const startedMs = Date.now()
    let done = 0
    const results: Results = []
    for (const scenario of chosen) {
      const measured: Round[] = Array.from({ length: rounds }, () => ({}))
      results.push({ scenario, rounds: measured })
      for (const [number, round] of measured.entries()) {
        for (let i = 0; i < scenario.entries.length; i++) {
          const entry = scenario.entries[(i + number) % scenario.entries.length]! // so that none is always measured after the same other
          const leftMs = done === 0 ? 0 : (Date.now() - startedMs) / done * (slices - done)
          progress(`${done + 1} of ${slices} · ${scenario.title} · ${entry.name}${done === 0 ? '' : ` · ${Math.ceil(leftMs / 60_000)} min left`}`)
          round[entry.name] = await bench.slice(entry)
          done++
        }
      }
      progress('')
      say(`${table(rows(results.slice(-1)))}\n`)
    }
    say(`${targetTable(targetRows(results))}\n`)
    await writeFile(join(folder, 'results.json'), `${JSON.stringify({ at: new Date().toISOString(), node: process.version, results }, null, 2)}\n`)
    await writeFile(join(folder, 'chart.svg'), chart(results))
    say('Written: data/bench/results.json, data/bench/chart.svg\n')
  } finally {
    await bench.stop()
    await rm(join(folder, 'postgres'), { recursive: true, force: true })
  }
}

if (options.help) say(help)
else await main().catch((error: Error) => { say(`\n${error.message}\n`); process.exitCode = 1 })
