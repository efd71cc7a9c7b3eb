/** `npm run faults`: breaks everything around Holdfast and says whether it kept its word. `npm run faults -- --help` says what can be chosen. */
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { sins, type Sin } from './checker.ts'
import { faults } from './faults.ts'
import { random } from './random.ts'
import { run, type Report } from './run.ts'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const say = (line: string) => { process.stdout.write(`${line}\n`) }

const help = `npm run faults [-- options]: real processes, real faults, and a checker that says PASS, FAIL or UNKNOWN.

  --seed N       what the order of the faults and all chance is drawn from (drawn itself, and shown)
  --minutes N    how long; every fault comes at least once (4)
  --only FAULT   this fault only; may be given several times
  --help         this text

Exit code: 0 PASS, 1 FAIL, 2 UNKNOWN. History, audit and logs are left in data/faults. Faults:
${Object.entries(faults).map(([name, { what }]) => `  ${name.padEnd(18)} ${what}`).join('\n')}
`
const { values: options } = parseArgs({
  options: { seed: { type: 'string' }, minutes: { type: 'string', default: '4' }, only: { type: 'string', multiple: true }, help: { type: 'boolean', default: false } }
})

if (options.help) {
  process.stdout.write(help)
} else {
  for (const name of options.only ?? []) if (faults[name] === undefined) throw new Error(`There is no fault ${name}; --help shows them.`)
  const seed = Number(options.seed ?? Math.floor(Math.random() * 1_000_000))
  const names = options.only ?? random(seed).shuffled(Object.keys(faults))
  say(`seed ${seed}`)
  const report = await run({ root, folder: `${root}data/faults`, seed, faults: names, untilMs: options.only === undefined ? Date.now() + Number(options.minutes) * 60_000 : 0, say })
  show(report)
  process.exitCode = { PASS: 0, FAIL: 1, UNKNOWN: 2 }[report.verdict]
}

function show ({ verdict, findings, untested, figures, seed, seconds, faults: suffered }: Report): void {
  say('')
  for (const [name, events] of Object.entries(Object.groupBy(suffered, ({ name }) => name))) {
    const times = events!.filter(({ skipped }) => skipped === undefined).map(({ upAfterMs }) => upAfterMs ?? Infinity)
    say(`${name.padEnd(18)} ${times.length === 0 ? `SKIPPED: ${events![0]!.skipped}` : `${times.length} × served again after ${Math.max(...times)} ms at most`}`)
  }
  say('')
  for (const [sin, what] of Object.entries(sins)) say(`${sin.padEnd(13)} ${String(findings[sin as Sin].length).padStart(6)}   ${what}`)
  for (const [sin, list] of Object.entries(findings)) for (const one of list.slice(0, 10)) say(`  ${sin}: ${one}`)
  for (const one of untested) say(`  untested: ${one}`)
  say(`\n${JSON.stringify(figures)}`)
  say(`\n${verdict} (seed ${seed}, ${seconds} s)`)
}
