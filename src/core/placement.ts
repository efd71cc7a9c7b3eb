/**
 * Where queues are, if there are several cells: databases of their own, each with its replicas of the
 * service. A placement says which cell each name belongs to.
 */
import { nameTest } from './queue.ts'

export interface Cell {
  /** For holdfast cells itself: doctor, and telling the database what belongs there. */
  databaseUrl: string
  /** Where its replicas serve, such as http://10.0.0.1:8080. */
  replicas: string[]
}

/** A queue on its way to another cell. */
export interface Move {
  to: string
  /** Schedules that wait to go on once they are in the new cell. */
  resume: string[]
}

/** What a placement file holds. */
export interface PlacementFile {
  cells: Record<string, Cell>
  /** Cells by the beginning of a name. '' is every name. The longest one counts. */
  prefixes: Record<string, string>
  /** Cells by the whole name. They go before all prefixes. */
  queues: Record<string, string>
  /** Queues that move. Until the end of the move, the other members say where they come from. */
  moving: Record<string, Move>
}

/** One line of what a cell is told. `cell` is null where the names belong to that cell itself. */
export interface PlacementRow {
  name: string
  whole: boolean
  cell: string | null
}

/** Names of cells stand in the configuration of HAProxy. */
const cellPattern = /^[a-z][a-z0-9_]{0,30}$/
const replicaPattern = /^https?:\/\/[^/?#\s@]+$/

const membersOf = {
  cells: 'cells',
  prefixes: 'cells by the beginning of a name',
  queues: 'cells by the name of a queue',
  moving: 'queues that holdfast cells move is moving'
}

export class Placement {
  readonly file: PlacementFile
  readonly #prefixes: [string, string][]

  constructor(file: PlacementFile) {
    this.file = file
    this.#prefixes = Object.entries(file.prefixes).toSorted(([a], [b]) => b.length - a.length)
  }

  /** Reads the text of a placement file. Throws an Error that names what is wrong. */
  static read(text: string): Placement {
    const file = JSON.parse(text) as PlacementFile
    const fault = faultOf(file)
    if (fault !== null) throw new Error(fault)
    const { cells, prefixes = {}, queues = {}, moving = {} } = file
    return new Placement({ cells, prefixes, queues, moving })
  }

  get cellNames(): string[] {
    return Object.keys(this.file.cells)
  }

  /** The cell of names that neither `queues` nor a longer prefix places. */
  get otherwise(): string {
    return this.file.prefixes['']!
  }

  /** The cell that leases and settles the messages of this queue. */
  cellOf(queue: string): string {
    const { queues } = this.file
    if (Object.hasOwn(queues, queue)) return queues[queue]!
    return this.#prefixes.find(([prefix]) => queue.startsWith(prefix))![1]
  }

  /** The cell that takes new messages of this queue. */
  targetOf(queue: string): string {
    return this.moveOf(queue)?.to ?? this.cellOf(queue)
  }

  moveOf(queue: string): Move | undefined {
    return Object.hasOwn(this.file.moving, queue) ? this.file.moving[queue] : undefined
  }

  /** What this cell is told: where new queues and new messages belong. */
  rowsFor(cell: string): PlacementRow[] {
    const { prefixes, queues, moving } = this.file
    const row = (whole: boolean) => (name: string) => {
      const target = whole ? this.targetOf(name) : prefixes[name]!
      return { name, whole, cell: target === cell ? null : target }
    }
    const names = new Set([...Object.keys(queues), ...Object.keys(moving)])
    return [...Object.keys(prefixes).map(row(false)), ...[...names].map(row(true))]
  }

  /** The same placement with this move; null ends it where the queue is then. */
  withMove(queue: string, move: Move | null): Placement {
    const { [queue]: before, ...others } = this.file.moving
    if (move !== null) return new Placement({ ...this.file, moving: { ...others, [queue]: move } })
    const queues = { ...this.file.queues, [queue]: before!.to }
    return new Placement({ ...this.file, queues, moving: others })
  }
}

/** What is wrong with a placement; null when it is right. */
function faultOf(file: PlacementFile): string | null {
  if (!isRecord(file)) return 'The placement must be an object with cells and prefixes.'
  const unknown = Object.keys(file).find(member => !Object.hasOwn(membersOf, member))
  if (unknown !== undefined) {
    return `The placement has no ${unknown}. Its members are ${Object.keys(membersOf).join(', ')}.`
  }
  for (const [member, what] of Object.entries(membersOf)) {
    const value: unknown = file[member as keyof PlacementFile] ?? {}
    if (!isRecord(value)) return `${member} must be an object: ${what}.`
  }
  return faultInCells(file) ?? faultInNames(file) ?? faultInMoves(file)
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

function faultInCells({ cells = {} }: PlacementFile): string | null {
  if (Object.keys(cells).length === 0) return 'cells must name one cell at least.'
  for (const [name, cell] of Object.entries(cells)) {
    if (!cellPattern.test(name)) {
      return `The cell ${name} needs another name: a small letter, then up to 30 of a-z, 0-9 and _.`
    }
    if (!isRecord(cell) || typeof cell.databaseUrl !== 'string') {
      return `The cell ${name} needs a databaseUrl: postgresql://user@host/database.`
    }
    const { replicas } = cell
    if (!Array.isArray(replicas) || replicas.length === 0 || !replicas.every(isReplica)) {
      return `The cell ${name} needs replicas: a list such as ["http://10.0.0.1:8080"].`
    }
  }
  return null
}

const isReplica = (url: unknown) => typeof url === 'string' && replicaPattern.test(url)

function faultInNames({ cells, prefixes = {}, queues = {} }: PlacementFile): string | null {
  if (!Object.hasOwn(prefixes, '')) return 'prefixes must place "", which is every name.'
  const known = Object.keys(cells)
  for (const [name, cell] of [...Object.entries(prefixes), ...Object.entries(queues)]) {
    if (!known.includes(cell)) return `${name === '' ? '""' : name} is placed in ${cell}, which is no cell.`
  }
  const wrong =
    Object.keys(queues).find(name => !nameTest.test(name)) ??
    Object.keys(prefixes).find(name => name !== '' && !nameTest.test(name))
  return wrong === undefined ? null : `No queue can be called ${wrong}, nor begin so.`
}

function faultInMoves({ cells, moving = {} }: PlacementFile): string | null {
  for (const [queue, move] of Object.entries(moving)) {
    if (!isRecord(move) || !Object.hasOwn(cells, move.to as string) || !Array.isArray(move.resume)) {
      return `moving.${queue} must be as holdfast cells move writes it: {"to": CELL, "resume": [SCHEDULE]}.`
    }
  }
  return null
}
