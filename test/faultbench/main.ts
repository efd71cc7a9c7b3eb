/**
 * `npm run faults`: breaks everything around Holdfast, and says whether it kept its promises.
 * `npm run faults -- --help` lists the options; README.md says what is where.
 */
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { bugs, withBug } from './bugs.ts'
import { faults } from './faults.ts'
import type { FaultEvent } from './history.ts'
import { random } from './random.ts'
import { run, type Report } from './run.ts'
import { sins, type Sin } from './sins.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const folder = join(root, 'data/faults')
const say = (line: string) => {
  process.stdout.write(`${line}\n`)
}

const help = `npm run faults [-- options]

Real processes, real faults, and a checker that says PASS, FAIL or UNKNOWN.

  --seed N       decides the order of the faults and every random choice (default: drawn, and shown)
  --minutes N    how long; every fault comes at least once (default: 4)
  --soak TIME    2h, 90m: run after run, a seed and a verdict each, until the time is over or one fails
  --only FAULT   this fault only; may be given several times, and then comes as often
  --bugs         instead: puts each bug of test/faultbench/bugs into a copy of the source, and checks
                 that it is found (about 15 minutes)
  --bug NAME     this bug only; may be given several times
  --help         this text

Exit code: 0 PASS, 1 FAIL, 2 UNKNOWN. History, audit and logs are left in data/faults. Faults:
${Object.entries(faults)
  .map(([name, { what }]) => `  ${name.padEnd(18)} ${what}`)
  .join('\n')}
`
const interruption = new AbortController()
const interrupted = interruption.signal
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => interruption.abort())

const exitCodes = { PASS: 0, FAIL: 1, UNKNOWN: 2 }
const { values: options } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '4' },
    soak: { type: 'string' },
    only: { type: 'string', multiple: true },
    bugs: { type: 'boolean', default: false },
    bug: { type: 'string', multiple: true },
    help: { type: 'boolean', default: false }
  }
})

try {
  if (options.help) process.stdout.write(help)
  else if (options.bugs || options.bug !== undefined) process.exitCode = await findBugs(options.bug)
  else process.exitCode = await runs()
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = interrupted.aborted ? exitCodes.UNKNOWN : exitCodes.FAIL
}
// A silenced connection may linger; nothing waits for it.
process.exit()

async function runs(): Promise<number> {
  const soakMs = options.soak === undefined ? 0 : msOf(options.soak)
  const untilMs = Date.now() + soakMs
  for (const name of options.only ?? []) {
    if (faults[name] === undefined) throw new Error(`There is no fault ${name}; --help shows them.`)
  }
  let worst = 0
  for (let seed = Number(options.seed ?? Math.floor(Math.random() * 1_000_000)); ; seed++) {
    say(`seed ${seed}`)
    const names = options.only ?? random(seed).shuffled(Object.keys(faults))
    const [alone, paired] = [false, true].map(isPaired =>
      names.filter(name => (faults[name]!.paired ?? false) === isPaired)
    )
    // Without a choice, the primary is killed once and frozen once.
    const failovers = options.only === undefined ? [...paired!, ...paired!] : paired!
    const minutes = options.only === undefined ? Number(options.minutes) : 0
    for (const [list, ms] of [
      [alone!, minutes * 60_000],
      [failovers, 0]
    ] as const) {
      if (list.length === 0) continue
      const plan = { root, folder, seed, faults: list, untilMs: Date.now() + ms, say, interrupted }
      const report = await run(plan)
      show(report)
      worst = Math.max(worst, exitCodes[report.verdict])
      if (report.verdict === 'FAIL') return 1
    }
    if (Date.now() >= untilMs) return worst
  }
}

function msOf(text: string): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)(h|m)$/.exec(text) ?? []
  if (count === undefined) throw new Error('--soak takes a time like 2h or 90m.')
  return Number(count) * (unit === 'h' ? 3_600_000 : 60_000)
}

/** Each bug must make the verdict FAIL. Returns 1 when one did not. */
async function findBugs(chosen: string[] | undefined): Promise<number> {
  let missed = 0
  say('| bug | what is wrong | fault | found as | after |\n|---|---|---|---|---|')
  for (const { name, what, faults } of await bugs()) {
    if (chosen !== undefined && !chosen.includes(name)) continue
    const report = await withBug(name, root =>
      run({ root, folder, seed: 1, faults, untilMs: 0, say: () => {}, interrupted })
    )
    const isFound = report.verdict === 'FAIL'
    if (!isFound) missed++
    const found = isFound ? foundAs(report) : 'NOT FOUND'
    say(`| ${name} | ${what} | ${faults.join(', ')} | ${found} | ${foundAfter(report)} |`)
  }
  return missed > 0 ? 1 : 0
}

function foundAs({ findings }: Report): string {
  return Object.entries(findings)
    .filter(([, list]) => list.length > 0)
    .map(([sin, list]) => `${sin} ${list.length}`)
    .join(', ')
}

/** What only the audit shows has no time of its own. */
function foundAfter({ firstAt, startedAt, seconds }: Report): string {
  if (firstAt === null) return `at the end, ${seconds.toFixed(1)} s`
  return `${(Math.max(0, firstAt - startedAt) / 1000).toFixed(1)} s`
}

function show(report: Report): void {
  const { verdict, findings, untested, figures, seed, seconds } = report
  say('')
  for (const [name, events] of Object.entries(Object.groupBy(report.faults, ({ name }) => name))) {
    say(`${name.padEnd(18)} ${recoveryOf(events!)}`)
  }
  say('')
  for (const [sin, what] of Object.entries(sins)) {
    say(`${sin.padEnd(13)} ${String(findings[sin as Sin].length).padStart(6)}   ${what}`)
  }
  for (const [sin, list] of Object.entries(findings)) {
    for (const finding of list.slice(0, 10)) say(`  ${sin}: ${finding}`)
  }
  for (const reason of untested) say(`  untested: ${reason}`)
  const { messages, confirmed, leases, redelivered, acked, dead, pushed, superseded } = figures
  const { unknown, unknownDone, refused } = figures
  say('')
  say(
    `${messages} messages, ${confirmed} of them confirmed; ${leases} leases, ${redelivered} of them again; ` +
      `${acked} acked, ${dead} dead`
  )
  say(`${superseded} superseded receipts refused; ${pushed} pushes taken by the endpoint`)
  say(
    `${unknown} enqueues were left unknown, ${unknownDone} of which had been done; ` +
      `${refused} were refused for good`
  )
  if (findings.lost.length === 0) {
    const durability = (100 * (1 - 3 / confirmed)).toFixed(3)
    const reliability = ((100 * acked) / (acked + dead)).toFixed(2)
    say(
      `Durability: none of ${confirmed} lost, so at 95 % above ${durability} %. ` +
        `Reliability: ${reliability} % acked of what came to an end.`
    )
  }
  say(`\n${verdict} (seed ${seed}, ${seconds} s)`)
}

function recoveryOf(events: FaultEvent[]): string {
  const suffered = events.filter(({ skipped }) => skipped === undefined)
  if (suffered.length === 0) return `SKIPPED: ${events[0]!.skipped}`
  const longestMs = Math.max(...suffered.map(({ upAfterMs }) => upAfterMs ?? Infinity))
  const confirmedMs = Math.max(...suffered.map(({ confirmedAfterMs = -1 }) => confirmedAfterMs))
  const confirmed = confirmedMs < 0 ? '' : `; the first enqueue was confirmed after ${confirmedMs} ms at most`
  return `${suffered.length} × served again after ${longestMs} ms at most${confirmed}`
}
