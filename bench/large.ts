/**
 * The large set-ups of `npm run bench -- --full`. They show whether a message stays as cheap with
 * millions of messages beside it, under a held snapshot, and while thousands of consumers wait.
 */
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench } from './bench.ts'
import { interrupted } from './interrupt.ts'
import { drive, memoryOf } from './measure.ts'
import { ordered } from './ordered.ts'
import { ask, base, fill, million, type Say } from './setUps.ts'
import type { Results } from './report.ts'
import type { Entry, Figures, Round, Scenario, Target } from './scenarios.ts'
import type { Subject } from './subjects.ts'

interface SetUp {
  name: string
  prepare: (subject: Subject, say: Say) => Promise<void>
  loads: [string, Entry['load']][]
}

const steps: SetUp['loads'] = [
  ['enqueue', { ...base, step: 'enqueue' }],
  ['lease and ack', { ...base, step: 'consume' }]
]

const setUps: SetUp[] = [
  {
    name: '1 M ready in the queue',
    prepare: async subject => {
      await drive(subject, { ...fill, messagesMax: million })
    },
    loads: steps
  },
  {
    name: '1 M delayed, 100 k leased and 100 k dead in the queue, 10 k queues beside it',
    async prepare(subject, say) {
      await makeQueues(subject, 10_000, say)
      say('delayed messages')
      await drive(subject, { ...fill, messagesMax: million, delaySeconds: 86_400 })
      say('leased and dead messages')
      await drive(subject, { ...fill, messagesMax: 200_000 })
      await leaseForAnHour(subject, 100_000, { dead: true })
      await leaseForAnHour(subject, 100_000)
    },
    loads: steps
  },
  {
    name: 'ten priorities in use',
    prepare: async subject => {
      await drive(subject, { ...fill, messagesMax: 200_000, priorities: true })
    },
    loads: steps.map(([name, load]) => [name, { ...load, priorities: true }])
  },
  {
    name: 'a retry storm: every tenth message fails and comes back, 100 k leased',
    async prepare(subject) {
      await drive(subject, { ...fill, messagesMax: 100_000 })
      await leaseForAnHour(subject, 100_000)
    },
    loads: [['lease and ack or fail', { ...base, step: 'consume', failShare: 0.1 }]]
  }
]

/** Measures the set-ups whose name holds `only`. */
export async function large(bench: Bench, rounds: number, only: string, say: Say): Promise<Results> {
  const results: Results = []
  for (const setUp of setUps.filter(({ name }) => name.includes(only))) {
    results.push(...(await besideSmall(bench, setUp, rounds, say)))
  }
  if ('a held snapshot'.includes(only)) {
    results.push(
      await heldSnapshot(bench, 'holdfast', million, say),
      await heldSnapshot(bench, 'plain', 60_000, say)
    )
  }
  results.push(...(await ordered(bench, rounds, only, say)))
  if ('10,000 consumers waiting'.includes(only)) results.push(await waiters(bench, say))
  return results
}

/** Measures a set-up in turns with the same load on an otherwise empty database. */
async function besideSmall(bench: Bench, setUp: SetUp, rounds: number, say: Say): Promise<Results> {
  const { name, prepare, loads } = setUp
  say(`${name} · preparing`)
  const small = await bench.subject('holdfast')
  const subject = await bench.subject('holdfast', { database: 'large' })
  await prepare(subject, text => say(`${name} · preparing · ${text}`))
  const results: Results = []
  for (const [step, load] of loads) {
    const entry: Entry = { name: 'small', subject: 'holdfast', load }
    const entryBeside: Entry = { ...entry, name: 'large' }
    const title = `${name}: ${step}`
    // This process is new: it compiles its code here, as the small case's has done.
    await bench.slice(entryBeside, subject, { keep: true })
    const measured: Round[] = []
    for (let number = 0; number < rounds; number++) {
      say(`${title} · round ${number + 1} of ${rounds}`)
      const turns = [
        async () => ({ small: await bench.slice(entry, small, { settled: true }) }),
        async () => ({ large: await bench.slice(entryBeside, subject, { keep: true, settled: true }) })
      ]
      if (number % 2 === 1) turns.reverse()
      measured.push({ ...(await turns[0]!()), ...(await turns[1]!()) } as Round)
    }
    results.push({ scenario: { title, entries: [entry, entryBeside], targets: ofSmall }, rounds: measured })
  }
  await bench.drop(subject)
  return results
}

const ofSmall: Target[] = [
  {
    what: 'database CPU, of the small case',
    bound: '≤',
    must: 1.15,
    of: ({ small, large }) => large!.databaseUs! / small!.databaseUs!
  },
  {
    what: 'buffers, of the small case',
    bound: '≤',
    must: 1.15,
    of: ({ small, large }) => large!.buffers! / small!.buffers!
  }
]

async function makeQueues(subject: Subject, count: number, say: Say): Promise<void> {
  for (let n = 0; n < count; n += 50) {
    say(`making queues, ${n}`)
    await Promise.all(
      Array.from({ length: 50 }, (_, i) => ask(subject, 'PUT', `/queues/beside-${n + i}`, {}))
    )
  }
}

/** Leases this many messages for an hour, and with `dead` dead-letters them. */
async function leaseForAnHour(subject: Subject, count: number, { dead = false } = {}): Promise<void> {
  for (let leased = 0; leased < count;) {
    const { messages } = await ask<{ messages: { receipt: string }[] }>(
      subject,
      'POST',
      '/queues/bench/lease',
      { max: 1000, leaseSeconds: 3600 }
    )
    leased += messages.length
    if (!dead) continue
    const failures = messages.map(({ receipt }) => ({ receipt, dead: true }))
    await ask(subject, 'POST', '/queues/bench/fail', { failures })
  }
}

const noFigures: Figures = {
  perSecond: 0,
  bytesPerSecond: 0,
  p50Ms: NaN,
  p99Ms: NaN,
  serviceUs: null,
  databaseUs: null,
  generatorUs: NaN,
  walBytes: null,
  flushes: null,
  buffers: null
}

/** Measures the rate by tenths while a transaction stays open, and after it ends. */
async function heldSnapshot(
  bench: Bench,
  name: 'holdfast' | 'plain',
  messages: number,
  say: Say
): Promise<Results[number]> {
  const title =
    `${messages.toLocaleString('en')} messages pass while a snapshot is held open, ` +
    `by tens: ${name === 'plain' ? 'plain queue' : 'Holdfast'}`
  const subject = await bench.subject(name, { database: 'snapshot' })
  const pass = () => passTenth(subject, messages)
  await pass() // so that the first tenth finds everything warm
  const holder = await bench.connectTo(subject)
  await holder.query('begin isolation level repeatable read')
  await holder.query('select count(*) from pg_class')
  const round: Round = {}
  for (let tenth = 1; tenth <= 10; tenth++) {
    say(`${title} · ${tenth} of 10`)
    round[`tenth ${tenth}`] = await pass()
  }
  await holder.query('commit')
  await holder.end()
  round['after its end'] = await recovered(pass, round['tenth 1']!.perSecond)
  await bench.drop(subject)
  const targets = name === 'plain' ? [] : ofFirstTenth
  return { scenario: snapshotScenario(title, name, Object.keys(round), targets), rounds: [round] }
}

const tens = { step: 'pass', callers: 64, count: 10, bodyBytes: 200, warmMs: 0 } as const

/** Enqueues, leases and acks a tenth of the messages. */
async function passTenth(subject: Subject, messages: number): Promise<Figures> {
  const result = await drive(subject, { ...tens, runMs: 600_000, messagesMax: messages / 10 })
  if (result.errors > 0) throw new Error(`${subject.databaseName}: ${result.error}`)
  const perSecond = (result.total / result.windowMs) * 1000
  return { ...noFigures, perSecond, p50Ms: result.p50Ms, p99Ms: result.p99Ms }
}

/** Repeats a pass until it is as fast as the first tenth, for a minute at most. */
async function recovered(pass: () => Promise<Figures>, firstPerSecond: number): Promise<Figures> {
  const untilMs = performance.now() + 60_000
  for (;;) {
    const figures = await pass()
    if (figures.perSecond >= 0.95 * firstPerSecond || performance.now() > untilMs) return figures
    await sleep(2000)
  }
}

function snapshotScenario(
  title: string,
  subject: 'holdfast' | 'plain',
  names: string[],
  targets: Target[]
): Scenario {
  const entries = names.map(name => ({ name, subject, load: { ...tens, runMs: 0 } }))
  return { title, entries, targets }
}

const ofFirstTenth: Target[] = [
  {
    what: 'rate of the last tenth, of the first',
    bound: '≥',
    must: 0.8,
    of: round => round['tenth 10']!.perSecond / round['tenth 1']!.perSecond
  },
  {
    what: 'rate within a minute of its end, of the first',
    bound: '≥',
    must: 0.95,
    of: round => round['after its end']!.perSecond / round['tenth 1']!.perSecond
  }
]

/**
 * Ten thousand calls wait. Compares their memory with that of a bare route that holds as many.
 * Counts the transactions that they cause, and the calls that one message wakes.
 */
async function waiters(bench: Bench, say: Say): Promise<Results[number]> {
  const title = '10,000 consumers waiting'
  say(`${title} · a bare route`)
  const bare = await bench.subject('nothing', { database: 'waiting' })
  const bareCalls = await WaitingCalls.open(bare, '/hold')
  await sleep(3000)
  const bareMemory = (await memoryOf(bare.pid))!
  bareCalls.close()
  await bench.drop(bare)

  say(`${title} · Holdfast`)
  const subject = await bench.subject('holdfast', { database: 'waiting' })
  const calls = await WaitingCalls.open(subject, '/queues/bench/lease')
  await sleep(3000)
  const memory = (await memoryOf(subject.pid))!
  const transactionsPerSecond = await transactionRate(subject)
  for (let i = 0; i < 100; i++) await ask(subject, 'POST', '/queues/bench/messages', { body: i })
  await sleep(1000)
  const answersPerMessage = calls.answers / 100
  calls.close()
  await bench.drop(subject)

  const target = (what: string, must: number, measured: number): Target => ({
    what,
    bound: '≤',
    must,
    of: () => measured
  })
  const targets = [
    target('resident memory, of a bare route holding as many', 1.25, memory / bareMemory),
    target('transactions a second while they wait', 20, transactionsPerSecond),
    target('waiting calls answered per message', 1, answersPerMessage)
  ]
  return { scenario: { title, entries: [], targets }, rounds: [{}] }
}

class WaitingCalls {
  answers = 0
  readonly #sockets: net.Socket[] = []

  /** Opens 10,000 calls, a hundred at a time. */
  static async open(subject: Subject, path: string): Promise<WaitingCalls> {
    const calls = new WaitingCalls()
    for (let n = 0; n < 10_000; n += 100) {
      interrupted.throwIfAborted()
      await Promise.all(Array.from({ length: 100 }, () => calls.#call(subject.port, path)))
    }
    return calls
  }

  async #call(port: number, path: string): Promise<void> {
    const body = '{"waitSeconds":60}'
    const head =
      `POST ${path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n` +
      `content-length: ${body.length}\r\n\r\n`
    await new Promise<void>((resolve, reject) => {
      const socket = net.connect(port, '127.0.0.1')
      socket.once('error', reject)
      socket.on('data', () => {
        this.answers++
      })
      socket.write(head + body, () => resolve())
      this.#sockets.push(socket)
    })
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy()
  }
}

/** Transactions a second on the subject's database, over ten seconds. */
async function transactionRate({ database }: Subject): Promise<number> {
  const committed = async () => {
    const { rows } = await database!.query<{ n: string }>(
      'select xact_commit as n from pg_stat_database where datname = current_database()'
    )
    return Number(rows[0]!.n)
  }
  const before = await committed()
  await sleep(10_000)
  return ((await committed()) - before) / 10
}
