/**
 * `node bench/cells.ts`: a simulation of cells. It places 1,000 queues of skewed load in 16 cells. Each
 * day their loads change, and queues move until no cell is far above the mean.
 * docs/scaling.md shows its table. It needs no database, and its numbers are the same in each run.
 */
const queues = 1000
const cells = 16
const days = 30
/** The largest queue has the load 1. The second has 1/2^skew, and the third 1/3^skew. */
const skews = [0.8, 1, 1.2]
/** A day multiplies or divides the load of each queue by up to this. */
const changes = [1.2, 2]
/** Queues move while a cell has more than this times the mean. */
const unevenMax = 1.2

/** Numbers from 0 to 1 that look random (mulberry32). */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let bits = Math.imul(state ^ (state >>> 15), 1 | state)
    bits = (bits + Math.imul(bits ^ (bits >>> 7), 61 | bits)) ^ bits
    return ((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32
  }
}

const sum = (values: number[]) => values.reduce((total, value) => total + value, 0)

function loadsOf(places: number[], loads: number[]): number[] {
  const perCell = Array<number>(cells).fill(0)
  for (const [queue, cell] of places.entries()) perCell[cell]! += loads[queue]!
  return perCell
}

/** The largest load of a cell, as a multiple of the mean. */
function unevenness(places: number[], loads: number[]): number {
  const perCell = loadsOf(places, loads)
  return Math.max(...perCell) / (sum(perCell) / cells)
}

/** The largest queue first, each to the cell that has least. */
function placedByLoad(loads: number[]): number[] {
  const places = Array<number>(queues).fill(0)
  const perCell = Array<number>(cells).fill(0)
  const order = [...loads.keys()].toSorted((a, b) => loads[b]! - loads[a]!)
  for (const queue of order) {
    const cell = perCell.indexOf(Math.min(...perCell))
    places[queue] = cell
    perCell[cell]! += loads[queue]!
  }
  return places
}

/** Moves the largest queue that makes things more even, from the fullest cell to the emptiest. */
function moveOne(places: number[], loads: number[]): number | undefined {
  const perCell = loadsOf(places, loads)
  const [full, empty] = [Math.max(...perCell), Math.min(...perCell)]
  const from = perCell.indexOf(full)
  const fitting = [...places.keys()].filter(
    queue => places[queue] === from && empty + loads[queue]! < full && loads[queue]! > 0
  )
  const [chosen] = fitting.toSorted((a, b) => loads[b]! - loads[a]!)
  if (chosen !== undefined) places[chosen] = perCell.indexOf(empty)
  return chosen
}

interface Result {
  skew: number
  change: number
  /** The share of the largest queue, of what one cell should have. */
  largest: number
  atRandom: number
  byLoad: number
  /** A mean day without moves, and with them. */
  unmoved: number
  moved: number
  movesPerDay: number
  /** The share of all load that changes its cell in a day. */
  movedLoad: number
}

function simulate(skew: number, change: number): Result {
  const random = randomFrom(1)
  const loads = Array.from({ length: queues }, (_, rank) => 1 / (rank + 1) ** skew)
  const atRandom = loads.map(() => Math.floor(random() * cells))
  const places = placedByLoad(loads)
  const unmovedPlaces = [...places]
  const first = { largest: (loads[0]! * cells) / sum(loads), byLoad: unevenness(places, loads) }
  const uneven = { atRandom: unevenness(atRandom, loads), unmoved: 0, moved: 0 }
  let moves = 0
  let movedLoad = 0
  for (let day = 0; day < days; day++) {
    for (const queue of loads.keys()) loads[queue]! *= change ** (2 * random() - 1)
    uneven.unmoved += unevenness(unmovedPlaces, loads) / days
    while (unevenness(places, loads) > unevenMax) {
      const queue = moveOne(places, loads)
      if (queue === undefined) break
      moves++
      movedLoad += loads[queue]! / sum(loads)
    }
    uneven.moved += unevenness(places, loads) / days
  }
  return { skew, change, ...first, ...uneven, movesPerDay: moves / days, movedLoad: movedLoad / days }
}

const two = (value: number) => value.toFixed(2)
process.stdout.write(
  '| skew | daily change | largest queue, of a mean cell | at random | by load | without moves ' +
    '| with moves | moves a day | load moved a day |\n|---|---|---|---|---|---|---|---|---|\n'
)
for (const skew of skews) {
  for (const change of changes) {
    const { largest, atRandom, byLoad, unmoved, moved, movesPerDay, movedLoad } = simulate(skew, change)
    const ratios = [largest, atRandom, byLoad, unmoved, moved].map(two).join(' | ')
    const share = `${(100 * movedLoad).toFixed(1)} %`
    process.stdout.write(
      `| ${skew} | × or ÷ ${change} | ${ratios} | ${movesPerDay.toFixed(1)} | ${share} |\n`
    )
  }
}
