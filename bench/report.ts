/**
 * Turns slices into tables and a chart. Ratios are taken within a round: by the next round the
 * machine may be faster or slower.
 */
import type { Pair } from './against.ts'
import { ratio, type Figures, type Round, type Scenario, type Target } from './scenarios.ts'

export type Results = { scenario: Scenario; rounds: Round[] }[]

/** Rows measured with this checkout and with another commit. */
export type PairResults = (Pair & { rounds: Round[] })[]

interface Spread {
  median: number
  min: number
  max: number
}

type Figure = (figures: Figures) => number | null

function spread(values: (number | null)[]): Spread | null {
  const measured = values
    .filter(value => value !== null)
    .filter(value => !Number.isNaN(value))
    .sort((a, b) => a - b)
  if (measured.length === 0) return null
  const middle = measured.length >> 1
  return {
    median: measured.length % 2 === 1 ? measured[middle]! : (measured[middle - 1]! + measured[middle]!) / 2,
    min: measured[0]!,
    max: measured.at(-1)!
  }
}

function number(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en')
  if (value >= 100) return value.toFixed(0)
  return value.toFixed(value >= 10 ? 1 : 2)
}

function shown(values: (number | null)[]): string {
  const range = spread(values)
  if (range === null) return '–'
  const median = number(range.median)
  return values.length === 1 ? median : `${median} (${number(range.min)}–${number(range.max)})`
}

const columns: [string, Figure][] = [
  ['messages/s', ({ perSecond }) => perSecond],
  ['p50 ms', ({ p50Ms }) => p50Ms],
  ['p99 ms', ({ p99Ms }) => p99Ms],
  ['service CPU µs', ({ serviceUs }) => serviceUs],
  ['database CPU µs', ({ databaseUs }) => databaseUs],
  ['WAL bytes', ({ walBytes }) => walBytes],
  ['flushes', ({ flushes }) => flushes]
]

/**
 * One row per entry: medians, with least and greatest. The last column is the ratio to the first
 * entry of the scenario.
 */
export function rows(results: Results): string[][] {
  const lines = [['', ...columns.map(([name]) => name), 'of the first']]
  for (const { scenario, rounds } of results) {
    const first = scenario.entries[0]?.name
    lines.push([scenario.title])
    for (const { name } of scenario.entries) {
      lines.push([
        `  ${name}`,
        ...columns.map(([, figure]) => shown(rounds.map(round => figure(round[name]!)))),
        shown(rounds.map(round => round[name]!.perSecond / round[first!]!.perSecond))
      ])
    }
  }
  return lines
}

export function targetRows(results: Results): string[][] {
  const lines = [['', 'must', 'aim', 'measured', '']]
  for (const { scenario, rounds } of results) {
    lines.push([scenario.title])
    for (const target of scenario.targets) {
      lines.push([
        `  ${target.what}`,
        `${target.bound} ${target.must}`,
        target.aim === undefined ? '' : `${target.aim}`,
        shown(rounds.map(target.of)),
        verdictOn(target, rounds)
      ])
    }
  }
  return lines
}

function verdictOn({ bound, must, of }: Target, rounds: Round[]): string {
  const range = spread(rounds.map(of))
  if (range === null) return 'not measured'
  const reached = bound === '≥' ? range.median >= must : range.median <= must
  return reached ? 'reached' : 'MISSED'
}

const pairColumns: [string, Figure][] = [
  ['rate', ({ perSecond }) => perSecond],
  ['p50', ({ p50Ms }) => p50Ms],
  ['service CPU', ({ serviceUs }) => serviceUs],
  ['database CPU', ({ databaseUs }) => databaseUs],
  ['WAL', ({ walBytes }) => walBytes]
]

/** A row whose median ratio of speeds is below this is marked. */
export const leastSpeed = 0.97

/** One row per pair: this checkout's figures divided by the other commit's. */
export function pairRows(results: PairResults): string[][] {
  const lines = [['this / other', ...pairColumns.map(([name]) => name), '']]
  let lastTitle: string | undefined
  for (const pair of results) {
    if (pair.title !== lastTitle) lines.push([(lastTitle = pair.title)])
    lines.push([
      `  ${pair.name}`,
      ...pairColumns.map(([, figure]) => shown(pair.rounds.map(ratio(figure, 'this', 'other')))),
      isSlower(pair) ? 'SLOWER' : 'holds'
    ])
  }
  return lines
}

/** Judged by the rate, or by the p50 where the load fixes the rate. */
export function isSlower({ entries, rounds }: PairResults[number]): boolean {
  const fixedRate = entries[0]!.load.ratePerSecond !== undefined
  const speed: Figure = fixedRate ? ({ p50Ms }) => 1 / p50Ms : ({ perSecond }) => perSecond
  const range = spread(rounds.map(ratio(speed, 'this', 'other')))
  return range !== null && range.median < leastSpeed
}

/** Aligned columns for a terminal. A row of one cell is a title, and widens no column. */
export function table(rows: string[][]): string {
  const widths = rows[0]!.map((_, column) =>
    Math.max(...rows.filter(row => row.length > 1).map(row => row[column]!.length))
  )
  const aligned = (cell: string, column: number) =>
    column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!)
  return rows.map(row => `${(row.length === 1 ? row[0]! : row.map(aligned).join('  ')).trimEnd()}\n`).join('')
}

/** Bars of rates, a group per scenario that has peers. */
export function chart(results: Results): string {
  const parts: string[] = []
  let y = 16
  for (const { scenario, rounds } of results) {
    if (scenario.entries.every(({ subject }) => subject === 'holdfast')) continue
    parts.push(`<text x="16" y="${(y += 16)}" class="title">${scenario.title}</text>`)
    const rates = scenario.entries.map(({ name, subject }) => ({
      name,
      subject,
      range: spread(rounds.map(round => round[name]!.perSecond))!
    }))
    const greatest = Math.max(...rates.map(({ range }) => range.max))
    const x = (rate: number) => 220 + (rate / greatest) * 380
    for (const { name, subject, range } of rates) {
      y += 22
      parts.push(
        `<text x="212" y="${y}" class="name">${name}</text>`,
        `<rect x="220" y="${y - 12}" width="${x(range.median) - 220}" height="15" class="${subject}"/>`,
        `<path d="M${x(range.min)} ${y - 4.5}H${x(range.max)}" class="range"/>`,
        `<text x="${x(range.max) + 6}" y="${y}">${number(range.median)}/s</text>`
      )
    }
    y += 22
  }
  return drawing(y + 8, parts)
}

function drawing(height: number, parts: string[]): string {
  const label = 'Messages per second, Holdfast beside its peers'
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 ${height}" role="img"
  aria-label="${label}">
<style>
  text { font: 12px system-ui, sans-serif; fill: #333 }
  .title { font-weight: 600 }
  .name { text-anchor: end }
  rect { fill: #b8bec8 }
  .holdfast { fill: #2f6f4f }
  .nothing { fill: #dde1e7 }
  .range { stroke: #111; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #ddd }
    rect { fill: #5b6472 }
    .holdfast { fill: #4fae7d }
    .nothing { fill: #3a414c }
    .range { stroke: #eee }
  }
</style>
${parts.join('\n')}
</svg>
`
}
