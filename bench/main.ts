/**
 * `npm run bench`: measures Holdfast beside its peers on this machine. `npm run bench -- --help`
 * says what can be chosen.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startEmbedded } from '../src/store/setup/embedded.ts'
import { Bench } from './bench.ts'
import { interrupted } from './interrupt.ts'
import { large } from './large.ts'
import { chart, rows, table, targetRows, type Results } from './report.ts'
import { scenarios, type Entry, type Round } from './scenarios.ts'
import { season } from './subjects.ts'

const help = `npm run bench [-- options]: rates and costs of Holdfast beside its peers, on this machine.

  --rounds N     rounds of each scenario (3)
  --only TEXT    only scenarios whose title holds this text
  --full         the large set-ups instead: millions of messages beside, a held snapshot,
                 10,000 waiting (about 10 minutes)
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
const rounds = Number(options.rounds)

const say = (text: string) => process.stdout.write(text)
const progress = (text: string) => {
  if (process.stdout.isTTY) say(`\r\x1b[K${text}`)
}

/** Counts the slices that are done, and says what is measured now and how long the rest takes. */
class Progress {
  readonly #slices: number
  readonly #startedMs = Date.now()
  #done = 0

  constructor(slices: number) {
    this.#slices = slices
  }

  next(what: string): void {
    const leftMs = ((Date.now() - this.#startedMs) / this.#done) * (this.#slices - this.#done)
    const left = this.#done === 0 ? '' : ` · ${Math.ceil(leftMs / 60_000)} min left`
    progress(`${++this.#done} of ${this.#slices} · ${what}${left}`)
  }
}

/** Entries by subject and step: a process compiles what it does for the first time. */
const rehearsed = new Set<string>()

/** Measures entries side by side, in rounds. No slice is a process's first of its kind. */
async function measureRounds(
  bench: Bench,
  title: string,
  entries: Entry[],
  slices: Progress
): Promise<Round[]> {
  for (const entry of entries) {
    const kind = `${entry.subject} ${entry.load.step}`
    if (rehearsed.has(kind)) continue
    progress(`Rehearsing · ${title} · ${entry.name}`)
    await bench.slice(entry)
    rehearsed.add(kind)
  }
  const measured: Round[] = []
  for (let number = 0; number < rounds; number++) {
    const round: Round = {}
    for (let turn = 0; turn < entries.length; turn++) {
      // The order rotates, so that no entry always follows the same other.
      const entry = entries[(turn + number) % entries.length]!
      slices.next(`${title} · ${entry.name}`)
      round[entry.name] = await bench.slice(entry)
    }
    measured.push(round)
  }
  progress('')
  return measured
}

async function besidePeers(bench: Bench): Promise<void> {
  const chosen = scenarios.filter(({ title }) => title.includes(options.only))
  const slices = new Progress(rounds * chosen.reduce((sum, { entries }) => sum + entries.length, 0))
  const results: Results = []
  for (const scenario of chosen) {
    const measured = await measureRounds(bench, scenario.title, scenario.entries, slices)
    results.push({ scenario, rounds: measured })
    say(`${table(rows(results.slice(-1)))}\n`)
  }
  await conclude(results)
}

async function largeSetUps(bench: Bench): Promise<void> {
  const results = await large(bench, rounds, options.only, progress)
  progress('')
  say(`${table(rows(results))}\n`)
  await conclude(results)
}

async function conclude(results: Results): Promise<void> {
  say(`${table(targetRows(results))}\n`)
  await writeResults({ results })
  await writeFile(join(folder, 'chart.svg'), chart(results))
  say('Written: data/bench/results.json, data/bench/chart.svg\n')
}

async function writeResults(results: object): Promise<void> {
  const file = { at: new Date().toISOString(), node: process.version, ...results }
  await writeFile(join(folder, 'results.json'), `${JSON.stringify(file, null, 2)}\n`)
}

async function main(): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  try {
    await withBench(options.full ? largeSetUps : besidePeers)
  } finally {
    await rm(join(folder, 'postgres'), { recursive: true, force: true })
  }
}

async function withBench(work: (bench: Bench) => Promise<void>): Promise<void> {
  progress('Preparing PostgreSQL')
  const postgres = await startEmbedded(folder, line => say(`${line}\n`))
  const bench = new Bench(postgres)
  try {
    interrupted.throwIfAborted()
    await season(postgres)
    progress('')
    await work(bench)
  } finally {
    await bench.stop().finally(() => postgres.stop())
  }
}

if (options.help) say(help)
else {
  await main().catch((error: Error) => {
    say(`\n${interrupted.aborted ? 'Interrupted.' : error.message}\n`)
    process.exitCode = 1
  })
}
