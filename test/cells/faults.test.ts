/**
 * A queue with an order moves under load, while its parts are killed. By default, PostgreSQL of the old
 * cell and the command are. HOLDFAST_TEST_SECONDS=60 runs it for every part, at each step.
 */
import { EventEmitter, once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { noRouter, startCells, type Cells } from '../support/cells.ts'
import { startSingle, type Server } from '../support/servers.ts'
import { client, serviceProcess, type Client } from '../support/service.ts'
import { freePort } from '../support/tcpServer.ts'
import { move } from './setup.ts'

const long = process.env.HOLDFAST_TEST_SECONDS !== undefined
const skip = noRouter
const run = promisify(execFile)

const queue = 'orders'
const settings = { ordering: 'group', leaseSeconds: 5, maxAttempts: 100 }
const groups = ['g0', 'g1', 'g2', 'g3']
const workers = 3
/** Messages that wait at most. Producers wait for workers then. */
const backlogMax = 300
const answerMsMax = 20_000

/** What the command says at its steps. */
const steps = { begins: '1. New messages', drains: 'holds ', ends: '2. Everything' }
type Step = keyof typeof steps
type Kill = () => Promise<unknown>

/** A cell whose PostgreSQL and replicas can be killed. */
interface KillableCell {
  name: string
  server: Server
  replicas: Client[]
  databaseUrl: string
  killPostgres: Kill
  killReplica: Kill
}

async function killableCell(t: Test, name: string, replicaCount: number): Promise<KillableCell> {
  const { server, url } = await startSingle(t)
  const start = async (port: number) =>
    serviceProcess(t, {
      HOLDFAST_DATABASE_URL: url,
      HOLDFAST_PORT: String(port),
      HOLDFAST_AUTH: 'off',
      HOLDFAST_LOG_LEVEL: 'silent'
    })
  const replicas: Awaited<ReturnType<typeof start>>[] = []
  for (let count = 0; count < replicaCount; count++) replicas.push(await start(await freePort()))
  return {
    name,
    server,
    replicas,
    databaseUrl: url,
    async killPostgres() {
      await server.signal('SIGKILL')
      await server.start()
    },
    async killReplica() {
      const [killed] = replicas
      killed!.child.kill('SIGKILL')
      await killed!.ended
      replicas[0] = await start(Number(new URL(killed!.url).port))
    }
  }
}

async function killableCells(t: Test, replicaCount: number) {
  const [a, b] = await Promise.all([killableCell(t, 'a', replicaCount), killableCell(t, 'b', replicaCount)])
  const placed = ({ databaseUrl, replicas }: KillableCell) => ({
    databaseUrl,
    replicas: replicas.map(({ url }) => url)
  })
  const cells = await startCells(t, { a: placed(a), b: placed(b) }, { prefixes: { '': 'a' }, queues: {} })
  return { cells, a, b }
}

const killRouter = async ({ pidFile, reload }: Cells) => {
  process.kill(Number(await readFile(pidFile, 'utf8')), 'SIGKILL')
  await run('/bin/sh', ['-c', reload])
}

/** Repeats a call until something answers that knows. It is safe to repeat. */
async function insist({ post }: Client, path: string, body: object) {
  let isUnsure = false
  for (const startedMs = performance.now(); ;) {
    const answer = await post(path, body).catch(() => null)
    if (answer !== null && answer.status < 500) return { ...answer, isUnsure }
    isUnsure ||= answer?.body.outcome !== 'none'
    if (performance.now() > startedMs + answerMsMax) throw new Error(`No answer in time: ${answer?.text}`)
    await new Promise(resolve => {
      setTimeout(resolve, 20)
    })
  }
}

interface Effect {
  id: string
  group: string
  number: number
}

/**
 * Producers that send one message of their group after another, and workers whose effects are stored
 * under the ids of messages. What must not happen is kept as a fault.
 */
function load(router: Client) {
  const effects: Effect[] = []
  const seen = new Map<string, string>()
  /** Messages that may be stored twice: nobody knew of the first enqueue when the router turned. */
  const unsure = new Set<string>()
  const faults: unknown[] = []
  const progress = new EventEmitter()
  const stopping = new AbortController()
  const counts = Object.fromEntries(groups.map(group => [group, 0])) as Record<string, number>
  const enqueued = () => Object.values(counts).reduce((sum, count) => sum + count)
  let keys = 0

  const produce = async (group: string) => {
    while (!stopping.signal.aborted) {
      const body = { group, number: counts[group]! }
      const idempotencyKey = `e${++keys}`
      const { status, text, isUnsure } = await insist(router, `/queues/${queue}/messages`, {
        body,
        group,
        idempotencyKey
      })
      if (status !== 201) faults.push(text)
      if (isUnsure) unsure.add(JSON.stringify(body))
      counts[group]!++
      while (!stopping.signal.aborted && enqueued() - effects.length > backlogMax) {
        await once(progress, 'effect')
      }
    }
  }

  const handle = ({ id, body: { group, number } }: { id: string; body: Effect }) => {
    const what = JSON.stringify({ group, number })
    const before = seen.get(id)
    if (before !== undefined && before !== what) faults.push(`The id ${id} is of ${before} and of ${what}.`)
    if (before !== undefined) return
    seen.set(id, what)
    effects.push({ id, group, number })
    progress.emit('effect')
  }

  const work = async () => {
    while (!stopping.signal.aborted || effects.length < enqueued()) {
      const idempotencyKey = `l${++keys}`
      const lease = { max: 5, waitSeconds: 1, idempotencyKey }
      const { status, body, text } = await insist(router, `/queues/${queue}/lease`, lease)
      if (status !== 200) faults.push(text)
      for (const message of body.messages ?? []) {
        handle(message)
        await insist(router, `/queues/${queue}/ack`, { receipt: message.receipt })
      }
    }
  }

  const running = [...groups.map(produce), ...Array.from({ length: workers }, work)]
  return {
    async more(count: number) {
      const goal = effects.length + count
      while (effects.length < goal) await once(progress, 'effect')
    },
    async stop() {
      stopping.abort()
      progress.emit('effect')
      await Promise.all(running)
    },
    /** Each message has had its effect, once, in the order of its group. */
    check(t: Test) {
      t.strictSame(faults, [])
      const firsts = new Map<string, Effect>()
      const doubled: string[] = []
      for (const effect of effects) {
        const what = JSON.stringify({ group: effect.group, number: effect.number })
        if (firsts.has(what)) doubled.push(what)
        else firsts.set(what, effect)
      }
      t.strictSame(
        doubled.filter(what => !unsure.has(what)),
        [],
        'nothing that was confirmed at once is doubled'
      )
      for (const [group, own] of Map.groupBy(firsts.values(), each => each.group)) {
        const numbers = own.map(({ number }) => number)
        t.strictSame(numbers, [...Array(counts[group]).keys()], `${group} is whole and in its order`)
      }
      t.comment(`${effects.length} effects; ${unsure.size} unsure enqueues, ${doubled.length} stored twice`)
    }
  }
}

/** Moves the queue, and strikes at each step once. A command that ends early is run again. */
async function moveThrough(
  t: Test,
  cells: Cells,
  to: string,
  strikes: Partial<Record<Step, Kill | 'itself'>>
) {
  const left = new Map(Object.entries(strikes) as [Step, Kill | 'itself'][])
  let repairing: Promise<unknown> = Promise.resolve()
  for (let runs = 1; runs <= 8; runs++) {
    const running = move(cells, queue, to)
    const striking = [...left].map(async ([step, kill]) => {
      const isThere = await running.says(steps[step]).then(
        () => true,
        () => false
      )
      if (!isThere) return
      left.delete(step)
      if (kill === 'itself') running.child.kill('SIGKILL')
      else await (repairing = repairing.then(kill))
    })
    const { code, said } = await running.ended
    await Promise.all(striking)
    if (code === 0) {
      t.strictSame([...left.keys()], [], `struck at each step, in ${runs} runs`)
      return
    }
    t.comment(`ended with ${code}: ${said.split('\n').at(-1)}`)
    if (code !== null) t.match(said, /Run the same command again to go on\.$/, 'it says what to do')
  }
  t.fail('the move did not come to its end')
}

/** The queue is in one cell, with nothing left in the other, and the file says so. */
async function isWhole(t: Test, cells: Cells, home: KillableCell, other: KillableCell) {
  t.match((await home.replicas[0]!.get(`/queues/${queue}`)).body, { settings })
  t.equal((await other.replicas[0]!.get(`/queues/${queue}`)).status, 404)
  const file = JSON.parse(await readFile(cells.file, 'utf8'))
  t.match(file, { queues: { [queue]: home.name } })
  t.strictSame(file.moving, {})
}

t.test('a move under load loses, doubles and reorders nothing, whatever is killed', { skip }, async t => {
  const { cells, a, b } = await killableCells(t, long ? 2 : 1)
  const router = client(cells.url)
  t.equal((await router.call('PUT', `/queues/${queue}`, settings)).status, 201)
  const running = load(router)
  const atEachStep = (kill: Kill) => ({ begins: kill, drains: kill, ends: kill })
  const rounds = long
    ? [
        { name: 'a replica of the old cell', strikes: (from: KillableCell) => atEachStep(from.killReplica) },
        {
          name: 'a replica of the new cell',
          strikes: (_: KillableCell, to: KillableCell) => atEachStep(to.killReplica)
        },
        {
          name: 'PostgreSQL of the old cell',
          strikes: (from: KillableCell) => atEachStep(from.killPostgres)
        },
        {
          name: 'PostgreSQL of the new cell',
          strikes: (_: KillableCell, to: KillableCell) => atEachStep(to.killPostgres)
        },
        { name: 'the router', strikes: () => atEachStep(() => killRouter(cells)) }
      ]
    : [
        {
          name: 'PostgreSQL of the old cell, and the command',
          strikes: (from: KillableCell) => ({
            begins: 'itself' as const,
            drains: from.killPostgres,
            ends: 'itself' as const
          })
        }
      ]
  let [from, to] = [a, b]
  for (const { name, strikes } of rounds) {
    await running.more(100)
    t.comment(`${from.name} to ${to.name}: ${name}`)
    await moveThrough(t, cells, to.name, strikes(from, to))
    await isWhole(t, cells, to, from)
    ;[from, to] = [to, from]
  }
  await running.more(100)
  await running.stop()
  running.check(t)
  const { ready, leased, delayed, dead } = (await router.get(`/queues/${queue}`)).body.counts
  t.strictSame({ ready, leased, delayed, dead }, { ready: 0, leased: 0, delayed: 0, dead: 0 })
})
