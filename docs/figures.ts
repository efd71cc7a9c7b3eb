/**
 * The tables of other pages that repeat or add up measured figures. docs/benchmarks.md is their source,
 * and docs/tables.ts puts them into the pages.
 */
import { readFileSync } from 'node:fs'

/** A row of the results, as printed by the bench. */
interface Result {
  rate: string
  /** Processor time in µs per message. */
  service: number
  database: number
  walBytes: number
}

const enqueue = 'Enqueue, one message per request, 64 callers'
const leaseAndAck = 'Lease and ack, one message each, 64 callers'
const enqueueLists = 'Enqueue, 100 messages per request, 16 callers'
const leaseAndAckLists = 'Lease and ack, 100 messages per request, 16 callers'

const numberOf = (text: string) => Number(text.replaceAll(',', ''))

const results = readResults(readFileSync('docs/benchmarks.md', 'utf8'))

/** The rows of the table below "Results", by load and subject. */
function readResults(page: string): Map<string, Result> {
  const [, section] = page.split('\n## Results\n')
  const [table] = /^\|[^]*?\n\n/m.exec(section!)!
  const found = new Map<string, Result>()
  let load = ''
  for (const line of table.trim().split('\n').slice(2)) {
    const cells = line.split('|').slice(1, -1)
    const [subject, rate, , , service, database, wal] = cells.map(cell => cell.trim())
    if (rate === '') load = subject!.replaceAll('**', '')
    found.set(`${load}: ${subject}`, {
      rate: rate!.split(' ')[0]!,
      service: numberOf(service!),
      database: numberOf(database!),
      walBytes: numberOf(wal!)
    })
  }
  return found
}

function resultOf(load: string, subject = 'Holdfast'): Result {
  const found = results.get(`${load}: ${subject}`)
  if (found === undefined) throw new Error(`The results in docs/benchmarks.md have no "${load}: ${subject}".`)
  return found
}

const rate = (load: string, subject?: string) => resultOf(load, subject).rate
const within = () => resultOf(leaseAndAck, 'Holdfast, ack within lease')

/** The rates of the README. */
function rates(): string[][] {
  const memory = 'fauxqs, in memory'
  const row = (load: string, inMemory: string) => [rate(load, 'plain queue'), rate(load, 'pg-boss'), inMemory]
  return [
    ['', 'Holdfast', 'queue written by hand', 'pg-boss', 'fauxqs (an SQS server in memory, keeps nothing)'],
    ['enqueue', rate(enqueue), ...row(enqueue, rate(enqueue, memory))],
    [
      'lease and ack',
      `${rate(leaseAndAck)} (${within().rate} when one call does both)`,
      ...row(leaseAndAck, rate(leaseAndAck, memory))
    ],
    ...[enqueueLists, leaseAndAckLists].map((load, i) => [
      `lists of 100: ${['enqueue', 'lease and ack'][i]}`,
      rate(load),
      ...row(load, `${rate(load, `${memory}, by tens`)} (lists of 10)`)
    ])
  ]
}

/** What a message costs, in the words of docs/operations.md. */
function costs(): string[][] {
  const [single, settled, list, settledList] = [enqueue, leaseAndAck, enqueueLists, leaseAndAckLists].map(
    load => resultOf(load)
  ) as [Result, Result, Result, Result]
  const row = (name: string, of: (result: Result) => string) => [
    name,
    of(single),
    of(settled),
    of(within()),
    of(list),
    of(settledList)
  ]
  return [
    [
      'per message',
      'enqueued',
      'leased and acked',
      'the same, acked in the next lease',
      'enqueued in lists of 100',
      'leased and acked in lists of 100'
    ],
    row('processor time of the service', ({ service }) => `${service} µs`),
    row('processor time of PostgreSQL', ({ database }) => `${database} µs`),
    row('WAL, with bodies of 200 bytes', ({ walBytes }) => `${walBytes} B`)
  ]
}

/** The processor time that HAProxy takes for a request of 256 callers. */
const routerUs = Number(
  /^\| 256 \| through HAProxy .* (\d+) µs \|$/m.exec(readFileSync('docs/scaling.md', 'utf8'))![1]
)

/** A message from its enqueue to its ack. Times are in µs. */
interface Life {
  name: string
  requests: number
  database: number
  service: number
  router: number
  walBytes: number
}

function lives(): Life[] {
  const life = (name: string, requests: number, [first, second]: [Result, Result]) => ({
    name,
    requests,
    database: first.database + second.database,
    service: first.service + second.service,
    router: requests * routerUs,
    walBytes: first.walBytes + second.walBytes
  })
  return [
    life('single, acked within a lease', 2, [resultOf(enqueue), within()]),
    life('single, acked alone', 3, [resultOf(enqueue), resultOf(leaseAndAck)]),
    life('lists of 100', 0.02, [resultOf(enqueueLists), resultOf(leaseAndAckLists)])
  ]
}

function lifeRows(): string[][] {
  const us = (value: number) => `${Math.round(value)} µs`
  return [
    ['life of a message', 'requests', 'PostgreSQL', 'service', 'HAProxy', 'WAL'],
    ...lives().map(({ name, requests, database, service, router, walBytes }) => [
      name,
      String(requests),
      us(database),
      us(service),
      us(router),
      `${walBytes} B`
    ])
  ]
}

/** What databases carry whose cores are half busy with messages. */
function cellRows(): string[][] {
  const [single, , list] = lives() as [Life, Life, Life]
  const number = (value: number) => Number(value.toPrecision(3)).toLocaleString('en')
  const row = (cells: number, cores: number) => {
    const busyUs = cells * cores * 500_000
    const [singles, listed] = [busyUs / single.database, busyUs / list.database]
    const halfBusy = (rate: number, us: number) => number(Number(((rate * us) / 500_000).toPrecision(2)))
    const wal = `${number(Math.round((singles * single.walBytes) / cells / 1e6))} MB/s`
    return [
      cells === 1 ? `one cell of ${cores} cores` : `${cells} cells of ${cores} cores`,
      `${number(singles)}/s`,
      `${number(listed)}/s`,
      cells === 1 ? wal : `${wal} each`,
      halfBusy(singles, single.service),
      halfBusy(singles, single.router),
      halfBusy(listed, list.router)
    ]
  }
  return [
    [
      'database',
      'single, acked within a lease',
      'in lists of 100',
      'WAL, single',
      'cores of the service, single',
      'cores of HAProxy, single',
      'in lists'
    ],
    row(1, 4),
    row(1, 16),
    row(4, 16),
    row(16, 16)
  ]
}

/** The tables by their names in the markers of the pages. */
export const figureRows: Record<string, () => string[][]> = { rates, costs, lives: lifeRows, cells: cellRows }
