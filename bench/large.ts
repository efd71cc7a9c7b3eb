/**
 * The large set-ups of `npm run bench -- --full`: whether a message stays as cheap with millions
 * beside it, under a held snapshot, and while thousands wait.
 */
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Bench } from './bench.ts'
import type { Results } from './report.ts'
import type { Entry, Figures, Round, Scenario } from './scenarios.ts'
import { drive, memoryOf } from './measure.ts'
import type { Subject } from './subjects.ts'

const million = 1_000_000
const base = { callers: 64, count: 1, bodyBytes: 200, warmMs: 1500, runMs: 4000 } as const
const fill = { step: 'enqueue', callers: 8, count: 100, bodyBytes: 200, warmMs: 0, runMs: 600_000 } as const

type Say = (text: string) => void
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
      for (let n = 0; n < 10_000; n += 50) {
        say(`making queues, ${n}`)
        await Promise.all(
          Array.from({ length: 50 }, (_, i) => ask(subject, 'PUT', `/queues/beside-${n + i}`, {}))
        )
      }
      say('delayed messages')
      await drive(subject, { ...fill, messagesMax: million, delaySeconds: 86_400 })
      say('leased and dead messages')
      await drive(subject, { ...fill, messagesMax: 200_000 })
      await takeAway(subject, 100_000, true)
      await takeAway(subject, 100_000, false)
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
      await takeAway(subject, 100_000, false)
    },
    loads: [['lease and ack or fail', { ...base, step: 'consume', failShare: 0.1 }]]
  }
]

/**
 * Runs those whose name holds `only`; each against the same load on an otherwise empty database,
 * in turns.
 */
export async function large(bench: Bench, rounds: number, only: string, say: Say): Promise<Results> {
  const results: Results = []
  for (const setUp of setUps.filter(({ name }) => name.includes(only))) {
    say(`${setUp.name} · preparing`)
    const small = await bench.subject('holdfast')
    const subject = await bench.subject('holdfast', { database: 'large' })
    await setUp.prepare(subject, text => say(`${setUp.name} · preparing · ${text}`))
    for (const [name, load] of setUp.loads) {
      const [alone, beside] = ['small', 'large'].map(name => ({ name, subject: 'holdfast' as const, load }))
      const scenario: Scenario = {
        title: `${setUp.name}: ${name}`,
        entries: [alone!, beside!],
        targets: [
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
      }
      // its process is new, and its code not yet compiled as that of the small case is
      await bench.slice(beside!, subject, { keep: true })
      const measured: Round[] = []
      for (let number = 0; number < rounds; number++) {
        say(`${scenario.title} · round ${number + 1} of ${rounds}`)
        const turns = [
          async () => ({ small: await bench.slice(alone!, small, { settled: true }) }),
          async () => ({ large: await bench.slice(beside!, subject, { keep: true, settled: true }) })
        ]
        if (number % 2 === 1) turns.reverse()
        measured.push({ ...(await turns[0]!()), ...(await turns[1]!()) } as Round)
      }
      results.push({ scenario, rounds: measured })
    }
    await bench.drop(subject)
  }
  if ('a held snapshot'.includes(only)) {
    results.push(
      await heldSnapshot(bench, 'holdfast', million, say),
      await heldSnapshot(bench, 'plain', 60_000, say)
    )
  }
  if ('10,000 consumers waiting'.includes(only)) results.push(await waiters(bench, say))
  return results
}

/** Leases so many for an hour and leaves them so, or lets them die. */
async function takeAway(subject: Subject, count: number, dead: boolean): Promise<void> {
  for (let taken = 0; taken < count;) {
    const { messages } = await ask(subject, 'POST', '/queues/bench/lease', { max: 1000, leaseSeconds: 3600 })
    taken += messages.length
    if (dead) {
      await ask(subject, 'POST', '/queues/bench/fail', {
        failures: messages.map(({ receipt }: { receipt: string }) => ({ receipt, dead: true }))
      })
    }
  }
}

async function ask(subject: Subject, method: string, path: string, body: object): Promise<any> {
  const response = await fetch(`http://127.0.0.1:${subject.port}${path}`, {
    method,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })
  if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`)
  return await response.json()
}

const nothing: Figures = {
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

/** Somebody's transaction stays open while messages pass: the rate by tenths, and after its end. */
async function heldSnapshot(
  bench: Bench,
  name: 'holdfast' | 'plain',
  messages: number,
  say: Say
): Promise<Results[number]> {
  const title =
    `${messages.toLocaleString('en')} messages pass while a snapshot is held open, by ` +
    `tens: ${name === 'plain' ? 'plain queue' : 'Holdfast'}`
  const subject = await bench.subject(name, { database: 'snapshot' })
  const pass = async () => {
    const result = await drive(subject, {
      step: 'pass',
      callers: 64,
      count: 10,
      bodyBytes: 200,
      warmMs: 0,
      runMs: 600_000,
      messagesMax: messages / 10
    })
    if (result.errors > 0) throw new Error(`${title}: ${result.error}`)
    return {
      ...nothing,
      perSecond: (result.total / result.windowMs) * 1000,
      p50Ms: result.p50Ms,
      p99Ms: result.p99Ms
    }
  }
  await pass() // the first tenth finds everything warm
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
  const untilMs = performance.now() + 60_000
  for (let after = await pass(); ; after = await pass()) {
    round['after its end'] = after
    if (after.perSecond >= 0.95 * round['tenth 1']!.perSecond || performance.now() > untilMs) break
    await sleep(2000)
  }
  await bench.drop(subject)
  return {
    scenario: {
      title,
      entries: Object.keys(round).map(entry => ({
        name: entry,
        subject: name,
        load: { step: 'pass', callers: 64, count: 10, bodyBytes: 200, warmMs: 0, runMs: 0 }
      })),
      targets:
        name === 'plain'
          ? []
          : [
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
    },
    rounds: [round]
  }
}

/**
 * Ten thousand calls that wait: what they weigh beside a bare route that holds as many, what they
 * ask of the database, and how many one message wakes.
 */
async function waiters(bench: Bench, say: Say): Promise<Results[number]> {
  const title = '10,000 consumers waiting'
  const waiting = 10_000
  const memory: Record<string, number> = {}
  let statementsPerSecond = NaN
  let woken = NaN
  for (const name of ['nothing', 'holdfast'] as const) {
    say(`${title} · ${name === 'nothing' ? 'a bare route' : 'Holdfast'}`)
    const subject = await bench.subject(name, { database: 'waiting' })
    const path = name === 'nothing' ? '/hold' : '/queues/bench/lease'
    if (name === 'holdfast') await ask(subject, 'PUT', '/queues/bench', {})
    const body = '{"waitSeconds":60}'
    let answers = 0
    const sockets: net.Socket[] = []
    for (let n = 0; n < waiting; n += 100) {
      await Promise.all(
        Array.from(
          { length: 100 },
          () =>
            new Promise<void>((resolve, reject) => {
              const socket = net.connect(subject.port, '127.0.0.1')
              socket.once('error', reject)
              socket.on('data', () => {
                answers++
              })
              socket.write(
                `POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-type: ` +
                  `application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
                () => resolve()
              )
              sockets.push(socket)
            })
        )
      )
    }
    await sleep(3000)
    memory[name] = (await memoryOf(subject.pid))!
    if (name === 'holdfast') {
      const statements = async () =>
        Number(
          (
            await subject.database!.query(
              'select xact_commit as n from pg_stat_database where datname = current_database()'
            )
          ).rows[0].n
        )
      const before = await statements()
      await sleep(10_000)
      statementsPerSecond = ((await statements()) - before) / 10
      for (let i = 0; i < 100; i++) await ask(subject, 'POST', '/queues/bench/messages', { body: i })
      await sleep(1000)
      woken = answers / 100
    }
    for (const socket of sockets) socket.destroy()
    await bench.drop(subject)
  }
  return {
    scenario: {
      title,
      entries: [],
      targets: [
        {
          what: 'resident memory, of a bare route holding as many',
          bound: '≤',
          must: 1.25,
          of: () => memory.holdfast! / memory.nothing!
        },
        {
          what: 'transactions a second while they wait',
          bound: '≤',
          must: 20,
          of: () => statementsPerSecond
        },
        { what: 'waiting calls answered per message', bound: '≤', must: 1, of: () => woken }
      ]
    },
    rounds: [{}]
  }
}
