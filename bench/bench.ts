/** Keeps the subjects of one run, and measures slices of them. */
import type { Client } from 'pg'
import type { Embedded } from '../src/store/setup/embedded.ts'
import { leasedAhead } from './callers.ts'
import { interrupted } from './interrupt.ts'
import type { LoadResult } from './slice.ts'
import { drive, measure, type Usage } from './measure.ts'
import type { Entry, Figures } from './scenarios.ts'
import {
  checkout,
  connectTo,
  countStored,
  dropDatabase,
  empty,
  speaksSqs,
  startSubject,
  type Subject,
  type SubjectName
} from './subjects.ts'

type EntryLoad = Entry['load']

const consumes = ({ step }: EntryLoad) => ['consume', 'ack', 'loop', 'push'].includes(step)

export class Bench {
  readonly #postgres: Embedded
  readonly #otherFolder: string
  readonly #subjects = new Map<string, Subject>()
  /** Messages that a slice of an entry needs, so that its queue does not run dry. */
  readonly #needs = new Map<Entry, number>()

  /** `otherFolder` holds the checkout that the subject `other` runs. */
  constructor(postgres: Embedded, otherFolder = checkout) {
    this.#postgres = postgres
    this.#otherFolder = otherFolder
  }

  /**
   * The subject of this name on this database. The first call starts it. `replica` names a further
   * process on the same database.
   */
  async subject(name: SubjectName, { database = '', replica = '' } = {}): Promise<Subject> {
    const key = `${name} ${database} ${replica}`
    const running = this.#subjects.get(key)
    if (running !== undefined) return running
    interrupted.throwIfAborted()
    const folder = name === 'other' ? this.#otherFolder : checkout
    const subject = await startSubject(name, this.#postgres, { folder, database })
    this.#subjects.set(key, subject)
    return subject
  }

  /** Stops a subject and drops its database. */
  async drop(subject: Subject): Promise<void> {
    for (const [key, running] of this.#subjects) if (running === subject) this.#subjects.delete(key)
    await subject.stop()
    await dropDatabase(subject, this.#postgres)
  }

  async connectTo(subject: Subject): Promise<Client> {
    return await connectTo(subject, this.#postgres)
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#subjects.values()].map(subject => subject.stop()))
  }

  /**
   * Measures one slice of an entry, on empty tables unless `keep`. Throws if the figures would say
   * nothing. With `settled`, a vacuum and a checkpoint come first. The vacuum reads what was
   * filled, as some vacuum will in any case. After the checkpoint, PostgreSQL writes each page
   * whole at its next change, pages of old and new messages alike.
   */
  async slice(entry: Entry, on?: Subject, { keep = false, settled = false } = {}): Promise<Figures> {
    const subject = on ?? (await this.subject(entry.subject))
    const load = await this.#loadOf(entry)
    for (;;) {
      const need = this.#needs.get(entry) ?? 10_000 * load.count ** 0.5
      if (!keep) await empty(subject)
      if (consumes(load)) await fill(subject, load, need)
      if (settled) await settle(subject)
      const storedBefore = await countStored(subject)
      const result = await measure(subject, load)
      if (result.errors > 0) {
        throw new Error(`${entry.name}: ${result.errors} requests failed; the first: ${result.error}`)
      }
      const ranDry = result.empty > 0
      this.#needs.set(entry, ranDry ? 2 * need : needOf(load, result))
      if (ranDry) continue // an empty queue was measured: again, with a fuller one
      await check(entry, subject, result, storedBefore)
      return figuresOf(entry, result, subject.database !== null)
    }
  }

  /** An entry's load, with the port of the second replica where the consumers go to one. */
  async #loadOf({ load, subject, acrossReplicas }: Entry): Promise<EntryLoad> {
    if (!acrossReplicas) return load
    const { port } = await this.subject(subject, { replica: '2' })
    return { ...load, consumersPort: port }
  }
}

async function fill(subject: Subject, load: EntryLoad, messagesMax: number): Promise<void> {
  const { bodyBytes, priorities, queue, groups } = load
  const result = await drive(subject, {
    step: 'enqueue',
    callers: 8,
    count: bodyBytes > 10_000 || speaksSqs(subject) ? 10 : 100,
    bodyBytes,
    warmMs: 0,
    runMs: 60_000,
    messagesMax,
    ...(priorities && { priorities }),
    ...(queue && { queue }),
    ...(groups && { groups })
  })
  if (result.errors > 0) throw new Error(`${subject.name}: filling the queue failed: ${result.error}`)
}

async function settle({ database }: Subject): Promise<void> {
  await database!.query('vacuum holdfast.messages')
  await database!.query('checkpoint')
}

/** 1.5 times the messages of slice and warm-up, and two requests of each caller. */
function needOf(
  { step, warmMs, runMs, callers, count }: EntryLoad,
  { messages, windowMs }: LoadResult
): number {
  const leased = step === 'ack' ? leasedAhead : count
  return Math.ceil(((1.5 * messages) / windowMs) * (warmMs + runMs)) + 2 * callers * leased
}

/** By how many messages a load changes what the database holds, if it stored or took `total`. */
function addedBy(load: EntryLoad, total: number): number {
  if (load.step === 'latency' || load.then) return 0
  return consumes(load) ? -total : (load.uniqueKeys ?? total)
}

/** Throws unless the database holds what the callers were told, and has flushed it. */
async function check(
  { name, load }: Entry,
  subject: Subject,
  { total, flushes }: LoadResult & Usage,
  storedBefore: number | null
): Promise<void> {
  // A consumer that works for a while holds messages when the slice ends.
  const stored = load.workMs === undefined ? await countStored(subject) : null
  const expected = storedBefore! + addedBy(load, total)
  if (stored !== null && stored !== expected) {
    throw new Error(
      `${name}: the database holds ${stored} messages, but the callers were told of ${expected}.`
    )
  }
  if (subject.database !== null && flushes === 0) {
    throw new Error(`${name}: nothing was flushed, so what was measured is not durable.`)
  }
}

function figuresOf(entry: Entry, result: LoadResult & Usage, durable: boolean): Figures {
  const seconds = result.windowMs / 1000
  const messages = result.messages / (entry.requestsPerMessage ?? 1)
  const each = (figure: number | null, unit = 1) => (figure === null ? null : (figure * unit) / messages)
  return {
    perSecond: messages / seconds,
    bytesPerSecond: (messages * entry.load.bodyBytes) / seconds,
    p50Ms: result.p50Ms,
    p99Ms: result.p99Ms,
    serviceUs: each(result.serviceCpuMs, 1000),
    databaseUs: durable ? each(result.databaseCpuMs, 1000) : null,
    generatorUs: each(result.cpuMs, 1000)!,
    walBytes: durable ? each(result.walBytes) : null,
    flushes: durable ? each(result.flushes) : null,
    buffers: durable ? each(result.buffers) : null
  }
}
