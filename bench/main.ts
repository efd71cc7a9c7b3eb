/**
 * `npm run bench`: measures Holdfast beside its peers, or beside another commit of it, on this
 * machine. `npm run bench -- --help` says what can be chosen.
 */
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { startEmbedded } from '../src/store/setup/embedded.ts'
import { checkOut, pairsOf } from './against.ts'
import { Bench } from './bench.ts'
import { interrupted } from './interrupt.ts'
import { large } from './large.ts'
import {
  chart,
  isSlower,
  leastSpeed,
  pairRows,
  rows,
  table,
  targetRows,
  type PairResults,
  type Results
} from './report.ts'
import { scenarios, type Entry, type Round } from './scenarios.ts'
import { season } from './subjects.ts'

const help = `npm run bench [-- options]: rates and costs of Holdfast beside its peers, on this machine.

  --rounds N     rounds of each scenario (3; with --against 6)
  --only TEXT    only scenarios whose title holds this text; with --against also rows whose name does
  --full         the large set-ups instead: millions of messages beside, a held snapshot,
                 10,000 waiting (about 10 minutes)
  --against REF  Holdfast of another commit instead of the peers (about 10 minutes)
  --help         this text

It starts all it needs, and writes results.json and chart.svg to data/bench. Beside the peers it
takes about 7 minutes.

With --against, REF is anything that git resolves to a commit. Each row of Holdfast is measured with
this checkout and with the other commit in turns. The table shows this checkout's figures divided by
the other's: the median, with least and greatest. Each ratio is taken within a round.
A row is marked SLOWER if the median of its rate is below ${leastSpeed}. Where the load fixes the rate,
1 / p50 counts instead. The exit code is 0 if everything was measured, however slow it was.
Both commits run on this checkout's PostgreSQL, and this checkout's bench measures them.
`
const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string' },
    only: { type: 'string', default: '' },
    full: { type: 'boolean', default: false },
    against: { type: 'string' },
    help: { type: 'boolean', default: false }
  }
})

const folder = fileURLToPath(new URL('../data/bench/', import.meta.url))
const otherFolder = join(folder, 'other')
const rounds = Number(options.rounds ?? (options.against === undefined ? 3 : 6))

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

/** Steps that a subject has run once, and so has compiled its code for. */
const rehearsed = new Set<string>()

/** Measures entries side by side, in rounds, once each subject has rehearsed its steps. */
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
  if (chosen.length === 0) throw new Error(`No scenario's title holds "${options.only}".`)
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

async function besideOther(bench: Bench, other: string): Promise<void> {
  const pairs = pairsOf(scenarios, options.only)
  if (pairs.length === 0) throw new Error(`No row of Holdfast holds "${options.only}".`)
  const slices = new Progress(rounds * 2 * pairs.length)
  const results: PairResults = []
  say(`This checkout, divided by ${other}\n\n`)
  for (const pair of pairs) {
    const label = `${pair.title} · ${pair.name}`
    results.push({ ...pair, rounds: await measureRounds(bench, label, pair.entries, slices) })
    const group = results.filter(({ title }) => title === pair.title)
    const last = pairs.findLast(({ title }) => title === pair.title) === pair
    if (last) say(`${table(pairRows(group))}\n`)
  }
  const slower = results.filter(isSlower)
  say(`${slower.length} of ${results.length} rows are below ${leastSpeed} of the other commit's speed.\n`)
  for (const { title, name } of slower) say(`SLOWER: ${title} · ${name}\n`)
  await writeResults({ other, results })
  say('Written: data/bench/results.json\n')
}

async function writeResults(results: object): Promise<void> {
  const file = { at: new Date().toISOString(), node: process.version, ...results }
  await writeFile(join(folder, 'results.json'), `${JSON.stringify(file, null, 2)}\n`)
}

async function main(): Promise<void> {
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  try {
    let other: string | undefined
    if (options.against !== undefined) {
      progress(`Checking out ${options.against}`)
      other = await checkOut(options.against, otherFolder)
    }
    await withBench(async bench => {
      if (other !== undefined) await besideOther(bench, other)
      else if (options.full) await largeSetUps(bench)
      else await besidePeers(bench)
    })
  } finally {
    for (const name of ['other', 'postgres']) {
      await rm(join(folder, name), { recursive: true, force: true, maxRetries: 5 })
    }
  }
}

async function withBench(work: (bench: Bench) => Promise<void>): Promise<void> {
  progress('Preparing PostgreSQL')
  const postgres = await startEmbedded(folder, line => say(`${line}\n`))
  const bench = new Bench(postgres, otherFolder)
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
else if (options.full && options.against !== undefined) {
  say('Choose one of --full and --against.\n')
  process.exitCode = 1
} else {
  await main().catch((error: Error) => {
    say(`\n${interrupted.aborted ? 'Interrupted.' : error.message}\n`)
    process.exitCode = 1
  })
}
