/**
 * Turns slices into tables and a chart. Ratios are taken within a round, since the next one may
 * meet another machine.
 */
import type { Figures, Round, Scenario, Target } from './scenarios.ts'

export type Results = { scenario: Scenario; rounds: Round[] }[]

interface Spread {
  median: number
  min: number
  max: number
}

function spread(values: (number | null)[]): Spread | null {
  const known = values
    .filter(value => value !== null && !Number.isNaN(value))
    .sort((a, b) => a! - b!) as number[]
  if (known.length === 0) return null
  const middle = known.length >> 1
  return {
    median: known.length % 2 === 1 ? known[middle]! : (known[middle - 1]! + known[middle]!) / 2,
    min: known[0]!,
    max: known.at(-1)!
  }
}

function number(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en')
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}

function shown(values: (number | null)[]): string {
  const all = spread(values)
  if (all === null) return '–'
  const text = number(all.median)
  return values.length === 1 ? text : `${text} (${number(all.min)}–${number(all.max)})`
}

const columns: [string, (figures: Figures) => number | null][] = [
  ['messages/s', ({ perSecond }) => perSecond],
  ['p50 ms', ({ p50Ms }) => p50Ms],
  ['p99 ms', ({ p99Ms }) => p99Ms],
  ['service CPU µs', ({ serviceUs }) => serviceUs],
  ['database CPU µs', ({ databaseUs }) => databaseUs],
  ['WAL bytes', ({ walBytes }) => walBytes],
  ['flushes', ({ flushes }) => flushes]
]

/**
 * One row per entry: medians, with least and greatest; the ratio is to the first entry of the
 * scenario, round by round.
 */
export function rows(results: Results): string[][] {
  const all = [['', ...columns.map(([name]) => name), 'of the first']]
  for (const { scenario, rounds } of results) {
    all.push([scenario.title])
    for (const { name } of scenario.entries) {
      all.push([
        `  ${name}`,
        ...columns.map(([, figure]) => shown(rounds.map(round => figure(round[name]!)))),
        shown(rounds.map(round => round[name]!.perSecond / round[scenario.entries[0]!.name]!.perSecond))
      ])
    }
  }
  return all
}

export function reached(
  { bound, must, of }: Target,
  rounds: Round[]
): { all: Spread; holds: boolean } | null {
  const all = spread(rounds.map(of))
  return all && { all, holds: bound === '≥' ? all.median >= must : all.median <= must }
}

export function targetRows(results: Results): string[][] {
  const all = [['', 'must', 'aim', 'measured', '']]
  for (const { scenario, rounds } of results) {
    all.push([scenario.title])
    for (const target of scenario.targets) {
      const result = reached(target, rounds)
      all.push([
        `  ${target.what}`,
        `${target.bound} ${target.must}`,
        target.aim === undefined ? '' : `${target.aim}`,
        shown(rounds.map(target.of)),
        result === null ? 'not measured' : result.holds ? 'reached' : 'MISSED'
      ])
    }
  }
  return all
}

/** Aligned columns for a terminal. */
export function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.filter(row => row.length > 1).map(row => row[column]!.length))
  )
  return (
    rows
      .map(row =>
        row.length === 1
          ? row[0]!
          : row
              .map((cell, column) =>
                column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)
              )
              .join('  ')
      )
      .join('\n') + '\n'
  )
}

export const targetTable = table

/** Bars of rates, a group per scenario that has peers. */
export function chart(results: Results): string {
  const groups = results.filter(({ scenario }) =>
    scenario.entries.some(({ subject }) => subject !== 'holdfast')
  )
  const parts: string[] = []
  let y = 16
  for (const { scenario, rounds } of groups) {
    parts.push(`<text x="16" y="${(y += 16)}" class="title">${scenario.title}</text>`)
    const rates = scenario.entries.map(({ name, subject }) => ({
      name,
      subject,
      all: spread(rounds.map(round => round[name]!.perSecond))!
    }))
    const most = Math.max(...rates.map(({ all }) => all.max))
    for (const { name, subject, all } of rates) {
      y += 22
      const x = (value: number) => 220 + (value / most) * 380
      parts.push(
        `<text x="212" y="${y}" class="name">${name}</text>`,
        `<rect x="220" y="${y - 12}" width="${x(all.median) - 220}" height="15" class="${subject}"/>`,
        `<path d="M${x(all.min)} ${y - 4.5}H${x(all.max)}" class="range"/>`,
        `<text x="${x(all.max) + 6}" y="${y}">${number(all.median)}/s</text>`
      )
    }
    y += 22
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 ${y + 8}" role="img" aria-label="Messages per second, Holdfast beside its peers">
<style>
  text { font: 12px system-ui, sans-serif; fill: #333 } .title { font-weight: 600 } .name { text-anchor: end }
  rect { fill: #b8bec8 } .holdfast { fill: #2f6f4f } .nothing { fill: #dde1e7 } .range { stroke: #111; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) { text { fill: #ddd } rect { fill: #5b6472 } .holdfast { fill: #4fae7d } .nothing { fill: #3a414c } .range { stroke: #eee } }
</style>
${parts.join('\n')}
</svg>
`
}
