/**
 * One run of the bench: a cluster, three workloads, and faults one after another. Then everything is
 * healed and drained, and the checker gives its verdict.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { audit } from './audit.ts'
import { check, recoveryMsMax, type Verdict } from './checker.ts'
import { post, startCluster, type Cluster, type Replica } from './cluster.ts'
import { faults, type Stage } from './faults.ts'
import { type Event, type FaultEvent } from './history.ts'
import { EndpointProcess } from './endpointProcess.ts'
import { commonQueues, copiesOf, loadedQueues, push, pushedQueues, queues, specialQueues } from './queues.ts'
import { random } from './random.ts'
import type { Load } from './calls.ts'

export interface Plan {
  /** Where the service's source is: the product, or a copy with a bug in it. */
  root: string
  /** Holds everything that is written: the database while it runs, the history and the logs. */
  folder: string
  seed: number
  /** In this order, again and again until the time is over. */
  faults: string[]
  /** No fault begins after this, but each comes at least once. */
  untilMs: number
  say: (line: string) => void
  /** Ends the run, and every process that it has started. */
  interrupted?: AbortSignal
}

export interface Report extends Verdict {
  seed: number
  seconds: number
  startedAt: number
  faults: FaultEvent[]
}

const workloadNames = ['main', 'spare', 'special']
const gapMs = 1500
const recoveryMsPatience = 30_000
const drainMsMax = 60_000
/** Without any progress for so long, what is left is stuck. */
const stuckMs = 15_000

/** Runs once over a fresh cluster. A verdict is never retried. */
export async function run(plan: Plan): Promise<Report> {
  const { root, folder } = plan
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  const cluster = await startCluster(root, folder, () => {}, {
    paired: plan.faults.some(name => faults[name]!.paired)
  })
  const workloads: Workload[] = []
  const endpoint = new EndpointProcess(join(folder, 'endpoint.jsonl'), plan.seed)
  try {
    await endpoint.start()
    return await Promise.race([play(plan, cluster, endpoint, workloads), interruption(plan.interrupted)])
  } finally {
    for (const { child } of workloads) child.kill('SIGKILL')
    await cluster.stop()
    await endpoint.kill()
  }
}

function interruption(signal: AbortSignal | undefined): Promise<never> {
  return new Promise((_resolve, reject) => {
    const end = () => reject(new Error('Interrupted. Every process that was started has been ended.'))
    if (signal?.aborted) end()
    else signal?.addEventListener('abort', end)
  })
}

/** `workloads` receives those that it starts. */
async function play(
  plan: Plan,
  cluster: Cluster,
  endpoint: EndpointProcess,
  workloads: Workload[]
): Promise<Report> {
  const { folder, seed, say } = plan
  const startedAt = Date.now()
  for (const [name, change] of Object.entries(queues)) {
    await put(cluster.replicas[0]!, `queues/${name}`, change)
  }
  for (const name of pushedQueues) {
    await put(cluster.replicas[0]!, `queues/${name}/push`, { ...push, url: endpoint.url })
  }
  for (const [topic, names] of Object.entries(copiesOf)) {
    for (const name of names) await put(cluster.replicas[0]!, `topics/${topic}/subscriptions/${name}`, {})
  }
  const events: Event[] = []
  const load = (name: string, producers: number, consumers: number, zombies: number): Load => ({
    name,
    seed: seed * 10 + name.length,
    urls: cluster.replicas.map(({ url }) => url),
    queues: commonQueues,
    history: join(folder, `${name}.jsonl`),
    producers,
    consumers,
    zombies,
    kinds: false,
    waitSeconds: 2,
    leaseMax: 20
  })
  workloads.push(new Workload(load('main', 5, 4, 2)), new Workload(load('spare', 1, 2, 0)))
  workloads.push(
    new Workload({
      ...load('special', 0, 6, 2),
      queues: specialQueues,
      kinds: true,
      waitSeconds: 0.1,
      leaseMax: 8
    })
  )
  const stage = stageOf(plan, cluster, endpoint, workloads[1]!, events)
  await pause(gapMs)
  for (let round = 0; round === 0 || Date.now() < plan.untilMs; round++) {
    for (const name of plan.faults) {
      if (round > 0 && Date.now() >= plan.untilMs) break
      say(`${clock(startedAt)} ${name.padEnd(16)} ${faults[name]!.what}`)
      const event = await suffer(name, stage)
      events.push(event)
      say(`${clock(startedAt)} ${' '.repeat(16)} ${afterwards(event)}; ${progressOf(workloads)}`)
      await pause(gapMs)
    }
  }
  await Promise.all(workloads.map(workload => workload.say('drain')))
  if (!(await drained(cluster))) stage.odd('the queues did not run empty')
  await Promise.all(workloads.map(workload => workload.stop()))
  for (const what of cluster.crashes) stage.odd(what)
  await noteConfirmations(folder, stage, events)
  await appendFile(join(folder, 'faults.jsonl'), events.map(event => `${JSON.stringify(event)}\n`).join(''))
  const final = await audit(cluster, loadedQueues)
  await appendFile(join(folder, 'audit.json'), JSON.stringify(final))
  return {
    ...check(await historyIn(folder), final),
    seed,
    seconds: Math.round((Date.now() - startedAt) / 1000),
    startedAt,
    faults: events.filter(event => event.t === 'fault')
  }
}

function stageOf(
  { seed, root }: Plan,
  cluster: Cluster,
  endpoint: EndpointProcess,
  spare: Workload,
  events: Event[]
): Stage {
  const odd = (what: string) => {
    events.push({ t: 'odd', at: Date.now(), what })
  }
  return {
    cluster,
    endpoint,
    dice: random(seed),
    root,
    spare: spare.child,
    odd,
    async serves() {
      const tookMs = await recovery(cluster)
      if (tookMs !== null && tookMs <= recoveryMsMax) return
      odd(
        'while a fault lasted that should not matter, an enqueue, a lease and an ack took ' +
          `${tookMs ?? 'more than 30,000'} ms`
      )
    }
  }
}

function afterwards({ skipped, upAfterMs }: FaultEvent): string {
  if (skipped !== undefined) return `SKIPPED: ${skipped}`
  return upAfterMs === null ? 'no service after 30 s' : `served again after ${upAfterMs} ms`
}

function progressOf(workloads: Workload[]): string {
  const sum = (count: 'enqueued' | 'acked') =>
    workloads.reduce((total, { counts }) => total + counts[count], 0)
  return `${sum('enqueued')} enqueued, ${sum('acked')} acked so far`
}

/** Notes when the first enqueue after each fault was confirmed, where that has a limit. */
async function noteConfirmations(folder: string, stage: Stage, events: Event[]): Promise<void> {
  const history = await historyIn(folder, workloadNames)
  const confirmations = history.filter(event => event.t === 'enqueue').filter(({ out }) => out === 'ok')
  for (const event of events.filter(event => event.t === 'fault')) {
    const { confirmsMsMax } = faults[event.name]!
    if (confirmsMsMax === undefined) continue
    const later = confirmations.filter(({ end }) => end >= event.healedAt)
    event.confirmedAfterMs = Math.min(...later.map(({ end }) => end)) - event.healedAt
    if (event.confirmedAfterMs <= confirmsMsMax) continue
    stage.odd(`${event.name}: the first enqueue was confirmed after ${event.confirmedAfterMs} ms`)
  }
}

async function historyIn(folder: string, names = [...workloadNames, 'endpoint', 'faults']): Promise<Event[]> {
  const files = names.map(name => readFile(join(folder, `${name}.jsonl`), 'utf8'))
  return (await Promise.all(files)).flatMap(text =>
    text
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as Event)
  )
}

async function suffer(name: string, stage: Stage): Promise<FaultEvent> {
  const at = Date.now()
  const heal = await faults[name]!.inject(stage)
  if (typeof heal === 'string') return { t: 'fault', name, at, healedAt: at, upAfterMs: 0, skipped: heal }
  await heal()
  const healedAt = Date.now()
  const tookMs = await recovery(stage.cluster, healedAt)
  return { t: 'fault', name, at, healedAt, upAfterMs: tookMs }
}

/**
 * How long after `sinceMs` each replica worked: it had taken a message, given one of another replica
 * to a waiting consumer, and taken the ack. Null when that took more than 30 s.
 */
async function recovery({ replicas }: Cluster, sinceMs = Date.now()): Promise<number | null> {
  const times = await Promise.all(
    replicas.map(async (replica, index) => {
      const other = replicas[(index + 1) % replicas.length]!
      while (Date.now() < sinceMs + recoveryMsPatience) {
        const queue = `queues/probe-${replica.name}`
        // A caller that hangs up takes no message with it.
        const call = new AbortController()
        const over = setTimeout(() => call.abort(), recoveryMsMax)
        const waiting = post(`${replica.url}/${queue}/lease`, { waitSeconds: 6 }, call.signal)
        await post(`${replica.url}/livez`, {}, call.signal) // by then, its wait has begun
        const stored = await post(`${other.url}/${queue}/messages`, { body: 1 }, call.signal)
        if (stored === null) call.abort()
        const leased = await waiting
        clearTimeout(over)
        if (stored !== null && leased?.messages.length > 0) {
          await post(`${replica.url}/${queue}/ack`, { receipt: leased.messages[0].receipt })
          return Date.now() - sinceMs
        }
        await pause(50)
      }
      return null
    })
  )
  return times.includes(null) ? null : Math.max(...(times as number[]))
}

async function put(replica: Replica, path: string, change: object): Promise<void> {
  const response = await fetch(`${replica.url}/${path}`, {
    method: 'PUT',
    body: JSON.stringify(change),
    headers: { 'content-type': 'application/json' }
  })
  if (!response.ok) throw new Error(`PUT ${path} failed: ${await response.text()}`)
}

/** Whether consumers have emptied the queues in time. */
async function drained(cluster: Cluster): Promise<boolean> {
  const untilMs = Date.now() + drainMsMax
  let fewest = Infinity
  let stuckAtMs = untilMs
  for (; Date.now() < Math.min(untilMs, stuckAtMs); await pause(200)) {
    const [{ left }] = (await cluster.sql(
      `
      select count(*)::int as left
      from holdfast.messages m
      join holdfast.queues q on q.id = m.queue_id
      where q.name = any($1) and m.dead_at is null`,
      [loadedQueues]
    )) as [{ left: number }]
    if (left === 0) return true
    if (left >= fewest) continue
    fewest = left
    stuckAtMs = Date.now() + stuckMs
  }
  return false
}

class Workload {
  readonly child: ChildProcess
  counts = { enqueued: 0, leased: 0, acked: 0 }

  constructor(load: Load) {
    this.child = fork(new URL('workload.ts', import.meta.url), [JSON.stringify(load)])
    this.child.on('message', (counts: typeof this.counts) => {
      this.counts = counts
    })
  }

  async say(word: 'drain' | 'stop'): Promise<void> {
    await new Promise<void>((resolve, reject) =>
      this.child.send(word, error => (error === null ? resolve() : reject(error)))
    )
  }

  async stop(): Promise<void> {
    const ended = once(this.child, 'exit')
    await this.say('stop')
    const [code] = await ended
    if (code !== 0) throw new Error(`A workload ended with ${code}, so its history is incomplete.`)
  }
}

function clock(sinceMs: number): string {
  return `${((Date.now() - sinceMs) / 1000).toFixed(0).padStart(4)} s`
}
