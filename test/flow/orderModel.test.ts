/**
 * Random calls on queues against the whole service and against a model of the rules. The queues have
 * an order, turns, limits, or dead-letter queues. Some messages have unique keys, and some acks have
 * next messages. Calls that found a bug are kept, in their shortest form.
 */
import fc from 'fast-check'
import t from 'tap'
import { openDatabase } from '../../src/store/database.ts'
import { sweepLeases } from '../../src/store/upkeep/sweepLeases.ts'
import { expire, expireParked } from '../../src/store/upkeep/sweeps.ts'
import { FairModel } from './fairModel.ts'
import { maxAttempts, OrderModel, type Entry, type Message, type UniqueKey } from './orderModel.ts'
import { databaseUrl, endLeases, holdfast, queueWith, sql, type FlowQueue } from './setup.ts'

const verbs = ['ack', 'fail', 'failLater', 'kill', 'release'] as const
type Verb = (typeof verbs)[number]

interface NewEntry {
  group: number
  unique?: UniqueKey | undefined
}
/** At the dead-letter queue, where there is one. */
interface Place {
  dead?: boolean
}
/** `pick` chooses among all receipts or messages, old ones too. */
type Step = Place &
  (
    | { do: 'enqueue'; entries: NewEntry[]; priority: number }
    | { do: 'lease'; max: number }
    | { do: Verb; pick: number }
    | { do: 'ackThen'; pick: number; then: NewEntry[]; thenDead?: boolean }
    | { do: 'lapse' | 'expire' | 'purgeIds'; picks: number[] }
    | { do: 'cancel'; pick: number }
    | { do: 'purgeReady' | 'redrive' | 'retry' }
    | { do: 'limit'; maxLeased: number | null }
  )

interface Kind {
  settings: object
  lineOf: (group: string | null) => string | null
  turns?: true
  maxLeasedPerGroup?: number
  /** Its limit changes, and there are unique keys and next messages. */
  rich?: true
  /** It has a dead-letter queue. */
  buries?: true
}

const inGroups = (group: string | null) => group
const kinds: Record<string, Kind> = {
  group: { settings: { ordering: 'group' }, lineOf: inGroups },
  'queue, with all but a dead-letter queue': {
    settings: { ordering: 'queue' },
    lineOf: () => '',
    rich: true
  },
  turns: { settings: { fairness: 'group' }, lineOf: group => group ?? '', turns: true },
  'plain, with all of the flow': { settings: {}, lineOf: () => null, rich: true, buries: true },
  'group, with all of the flow': {
    settings: { ordering: 'group', maxLeasedPerGroup: 2 },
    lineOf: inGroups,
    maxLeasedPerGroup: 2,
    rich: true,
    buries: true
  },
  'turns, with all of the flow': {
    settings: { maxLeasedPerGroup: 2 },
    lineOf: group => group ?? '',
    turns: true,
    maxLeasedPerGroup: 2,
    rich: true,
    buries: true
  }
}

const maxLeased: fc.Arbitrary<number | null> = fc.option(fc.integer({ min: 1, max: 4 }))
const picks = fc.array(fc.nat(12), { minLength: 1, maxLength: 3 })

const unique = fc.record({
  key: fc.constantFrom('u1', 'u2'),
  until: fc.constantFrom('leased' as const, 'settled'),
  onConflict: fc.constantFrom('keep' as const, 'replace')
})
const entry = (rich = false): fc.Arbitrary<NewEntry> =>
  rich
    ? fc.record({ group: fc.nat(3), unique: fc.option(unique, { nil: undefined }) })
    : fc.record({ group: fc.nat(3) })

function stepOf({ rich, buries }: Kind): fc.Arbitrary<Step> {
  const at = { dead: buries ? fc.boolean() : fc.constant(false) }
  const entries = fc.array(entry(rich), { minLength: 1, maxLength: 4 })
  const basic: fc.WeightedArbitrary<Step>[] = [
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant('enqueue' as const),
        entries,
        priority: fc.integer({ min: 3, max: 5 })
      })
    },
    {
      weight: 5,
      arbitrary: fc.record({ do: fc.constant('lease' as const), max: fc.integer({ min: 1, max: 6 }), ...at })
    },
    { weight: 8, arbitrary: fc.record({ do: fc.constantFrom(...verbs), pick: fc.nat(20), ...at }) },
    {
      weight: 3,
      arbitrary: fc.record({ do: fc.constantFrom('lapse' as const, 'expire', 'purgeIds'), picks, ...at })
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), pick: fc.nat(12), ...at }) },
    {
      weight: 1,
      arbitrary: fc.record({ do: fc.constantFrom('purgeReady' as const, 'redrive', 'retry'), ...at })
    }
  ]
  const flow: fc.WeightedArbitrary<Step>[] = [
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant('ackThen' as const),
        pick: fc.nat(20),
        then: fc.array(entry(true), { minLength: 1, maxLength: 2 }),
        thenDead: fc.boolean(),
        dead: fc.boolean()
      })
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant('limit' as const),
        maxLeased
      })
    }
  ]
  const home: fc.WeightedArbitrary<Step> = {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('redrive' as const), dead: fc.constant(true) })
  }
  return fc.oneof(...basic, ...(rich ? flow : []), ...(buries ? [home] : []))
}

const groupsOf = (...groups: number[]) => groups.map(group => ({ group }))
const u1 = { key: 'u1', until: 'settled', onConflict: 'keep' } as const
const uniqueOne: Step = {
  do: 'enqueue',
  entries: [{ group: 1, unique: u1 }],
  priority: 4
}
const leaseOne: Step = { do: 'lease', max: 1 }
/** Calls that found a bug, in their shortest form. Those of one word are bugs of test/faultbench/bugs. */
const found: Record<string, Step[]> = {
  'a group that was served last in an answer kept its turn before another': [
    { do: 'enqueue', entries: groupsOf(1, 2, 1, 2, 1, 1, 2), priority: 4 },
    { do: 'lease', max: 5 },
    { do: 'lease', max: 1 },
    { do: 'lease', max: 1 }
  ],
  'a redrive of several went by their ids': [
    { do: 'enqueue', entries: groupsOf(1, 1), priority: 4 },
    { do: 'lease', max: 1 },
    { do: 'kill', pick: 0 },
    { do: 'redrive' },
    { do: 'lease', max: 1 },
    { do: 'kill', pick: 1 },
    { do: 'lease', max: 1 },
    { do: 'kill', pick: 2 },
    { do: 'redrive' },
    { do: 'lease', max: 1 }
  ],
  'a replaced message that comes first now did not take the turn of its group': [
    { do: 'enqueue', entries: [{ group: 1, unique: { ...u1, until: 'leased' } }], priority: 3 },
    { do: 'enqueue', entries: groupsOf(1), priority: 4 },
    { do: 'enqueue', entries: [{ group: 1, unique: { ...u1, onConflict: 'replace' } }], priority: 4 }
  ],
  'move-keeps-fence': [
    uniqueOne,
    leaseOne,
    { do: 'kill', pick: 0 },
    { do: 'redrive', dead: true },
    { do: 'ack', pick: 0 }
  ],
  'dead-hold-keys': [uniqueOne, leaseOne, { do: 'kill', pick: 0 }, uniqueOne],
  'lease-frees-key': [uniqueOne, leaseOne, uniqueOne],
  'returned-to-tail': [
    { do: 'enqueue', entries: groupsOf(1, 1), priority: 4 },
    leaseOne,
    { do: 'fail', pick: 0 },
    leaseOne
  ]
}

const database = openDatabase({ connectionString: databaseUrl }, { poolSize: 1, onError: () => {} })
t.teardown(() => database.close())

/** A queue with its model, and all receipts of it. */
interface Side {
  queue: FlowQueue
  model: OrderModel
  receipts: { receipt: string; id: string; fence: number }[]
}

function same(what: string, got: unknown, wanted: unknown): void {
  if (JSON.stringify(got) !== JSON.stringify(wanted)) {
    throw new Error(`${what}: ${JSON.stringify(got)}, but the model says ${JSON.stringify(wanted)}`)
  }
}

const groupOf = ({ group }: NewEntry) => (group > 0 ? `g${group}` : null)

class Run {
  readonly #kind: Kind
  readonly #main: Side
  readonly #dead: Side | null

  constructor(kind: Kind, queue: FlowQueue, deadQueue: FlowQueue | null) {
    this.#kind = kind
    const none = { maxLeased: null, maxLeasedPerGroup: null, deadTo: null }
    const deadTo = deadQueue && new OrderModel({ ...none, lineOf: () => null })
    const { lineOf, maxLeasedPerGroup = null } = kind
    const Model = kind.turns ? FairModel : OrderModel
    const model = new Model({ ...none, lineOf, maxLeasedPerGroup, deadTo })
    this.#main = { queue, model, receipts: [] }
    this.#dead = deadTo && { queue: deadQueue!, model: deadTo, receipts: [] }
  }

  get #sides(): Side[] {
    return this.#dead === null ? [this.#main] : [this.#main, this.#dead]
  }

  #at({ dead }: Place): Side {
    return (dead && this.#dead) || this.#main
  }

  async follow(steps: Step[]): Promise<void> {
    for (const step of steps) {
      await this.#take(step)
      await this.#compareCounts(JSON.stringify(step))
    }
    await this.#drain()
  }

  async #compareCounts(after: string): Promise<void> {
    for (const { queue, model } of this.#sides) {
      const { counts } = (await holdfast.get(queue.path)).body
      for (const state of ['ready', 'delayed', 'leased', 'dead'] as const) {
        same(`${state} of ${queue.name} after ${after}`, counts[state], model.inState(state).length)
      }
    }
  }

  async #take(step: Step): Promise<void> {
    const side = this.#at(step)
    const { queue, model } = side
    const post = async (verb: string, body: object = {}) =>
      (await holdfast.post(`${queue.path}/${verb}`, body)).body
    switch (step.do) {
      case 'enqueue':
        return await this.#enqueue(step.entries, step.priority)
      case 'lease':
        await this.#lease(side, step.max)
        return
      case 'redrive':
        return same('redrive', (await post('redrive')).redriven, model.redrive())
      case 'retry':
        return same('retry', (await post('retry')).retried, model.retry())
      case 'purgeReady': {
        const ready = model.inState('ready')
        same('purge', (await post('purge', { state: 'ready' })).purged, ready.length)
        return model.remove(ready.map(({ id }) => id))
      }
      case 'limit':
        await holdfast.call('PUT', this.#main.queue.path, { maxLeased: step.maxLeased })
        this.#main.model.rules.maxLeased = step.maxLeased
        return
      case 'cancel':
        return await this.#cancel(side, step.pick)
      case 'ackThen':
        return await this.#ackThen(side, step.pick, step.then, this.#at({ dead: step.thenDead ?? false }))
      case 'lapse':
      case 'expire':
      case 'purgeIds':
        return await this.#end(side, step.do, step.picks)
      default:
        return await this.#settle(side, step.do, step.pick)
    }
  }

  #entriesIn(given: NewEntry[], priority?: number): { entries: Entry[]; messages: object[] } {
    const entries = given.map(({ unique, ...each }): Entry => {
      return { group: groupOf(each), ...(priority && { priority }), ...(unique && { unique }) }
    })
    const messages = entries.map(({ group, ...rest }) => ({ body: 1, ...(group && { group }), ...rest }))
    return { entries, messages }
  }

  async #enqueue(given: NewEntry[], priority: number): Promise<void> {
    const { model, queue } = this.#main
    const { entries, messages } = this.#entriesIn(given, this.#kind.turns && priority)
    const fates = model.fatesOf(entries)
    const { status, body } = await holdfast.post(`${queue.path}/messages`, { messages })
    if (fates === null) return same('a list with another group', [status, body.code], [409, 'uniqueGroup'])
    this.#store(model, entries, fates, body.messages)
  }

  /** Stores in the model what the service says that it has stored. */
  #store(
    model: OrderModel,
    entries: Entry[],
    fates: NonNullable<ReturnType<OrderModel['fatesOf']>>,
    answers: any[]
  ): void {
    const ids = new Map<Entry | Message, string>()
    for (const [index, [fate, of]] of fates.entries()) {
      const { id, duplicate = false, replaced = false } = answers[index]
      const what = `enqueue of ${JSON.stringify(entries[index])}`
      same(what, [duplicate, replaced], [fate === 'duplicate', fate === 'replaced'])
      if (fate === 'stored') {
        ids.set(of, id)
        model.enqueue(id, entries[index]!)
        continue
      }
      same(what, id, 'id' in of ? of.id : ids.get(of))
      if (fate === 'replaced') model.replace(id, entries[index]!)
    }
  }

  async #lease({ queue, model, receipts }: Side, max: number): Promise<number> {
    const wanted = Math.min(max, model.leasable)
    const leased = await queue.lease(max)
    same('how many are leased', leased.length, wanted)
    same('what is leased', model.lease(leased.map(({ id }) => id)), null)
    for (const { id, receipt, fence, group = null } of leased) {
      const message = model.messages.get(id)!
      const rises = this.#sides.every(side => side.receipts.every(r => r.id !== id || r.fence < fence))
      same(`the fence of ${id} rises, and its group`, [rises, group], [true, message.group])
      message.fence = fence
      receipts.push({ receipt, id, fence })
    }
    return leased.length
  }

  async #settle({ queue, model, receipts }: Side, verb: Verb, pick: number): Promise<void> {
    if (receipts.length === 0) return
    const { receipt, id, fence } = receipts[pick % receipts.length]!
    const [path, body] = {
      ack: ['ack', { receipts: [receipt] }] as const,
      release: ['release', { receipts: [receipt] }] as const,
      fail: ['fail', { failures: [{ receipt, delaySeconds: 0 }] }] as const,
      failLater: ['fail', { failures: [{ receipt, delaySeconds: 1000 }] }] as const,
      kill: ['fail', { failures: [{ receipt, dead: true }] }] as const
    }[verb]
    const answer = await holdfast.post(`${queue.path}/${path}`, body)
    same(`${verb} of ${id}`, answer.body.outcomes[0].outcome, model.settle(verb, id, fence))
  }

  async #ackThen(side: Side, pick: number, given: NewEntry[], target: Side): Promise<void> {
    const { queue, model, receipts } = side
    if (receipts.length === 0) return
    const { receipt, id, fence } = receipts[pick % receipts.length]!
    const { entries, messages } = this.#entriesIn(given)
    const then = messages.map(message => ({ queue: target.queue.name, ...message }))
    const isDue = model.messages.get(id)?.fence === fence
    const fates = isDue ? target.model.fatesOf(entries, id) : []
    const { status, body } = await holdfast.post(`${queue.path}/ack`, { acks: [{ receipt, then }] })
    if (fates === null) return same('an ack with another group', [status, body.code], [409, 'uniqueGroup'])
    const [outcome] = body.outcomes
    same(`ack of ${id} with more`, outcome.outcome, model.settle('ack', id, fence))
    same('what followed', outcome.then?.length ?? 0, fates.length)
    if (isDue) this.#store(target.model, entries, fates, outcome.then)
  }

  #picked(picks: number[], from: { id: string }[]): string[] {
    return [...new Set(picks.flatMap(pick => (from.length === 0 ? [] : from[pick % from.length]!.id)))]
  }

  async #end({ queue, model }: Side, what: 'lapse' | 'expire' | 'purgeIds', picks: number[]): Promise<void> {
    const leased = model.inState('leased')
    const others = [...model.messages.values()].filter(({ state }) => state !== 'leased')
    const ids = this.#picked(picks, what === 'lapse' ? leased : others)
    if (ids.length === 0) return
    if (what === 'purgeIds') {
      const { body } = await holdfast.post(`${queue.path}/purge`, { ids })
      same('purge by ids', body.purged, ids.length)
    } else if (what === 'expire') {
      await sql.query('update holdfast.messages set expires_at = now() where id = any($1)', [ids])
      await this.#sweepUntil(ids, 'id is null')
    } else {
      await endLeases(queue, ids)
      await this.#sweepUntil(ids, 'leased_until is null')
    }
    if (what === 'lapse') model.lapse(ids)
    else model.remove(ids)
  }

  // The service's own sweeper may be first, and then it is waited for.
  async #sweepUntil(ids: string[], condition: string): Promise<void> {
    for (let done = false; !done;) {
      for (const statement of [sweepLeases, expireParked, expire]) {
        await database.query(statement, statement === expireParked ? ['-infinity'] : ['-infinity', false])
      }
      const { rows } = await sql.query(
        `select bool_and(${condition}) as done
        from unnest($1::bigint[]) as picked
        left join holdfast.messages on id = picked`,
        [ids]
      )
      done = rows[0].done
    }
  }

  async #cancel({ queue, model }: Side, pick: number): Promise<void> {
    const messages = [...model.messages.values()]
    if (messages.length === 0) return
    const { id, state } = messages[pick % messages.length]!
    const { status } = await holdfast.call('DELETE', `${queue.path}/messages/${id}`)
    same('cancel', status, state === 'leased' ? 409 : 204)
    if (state !== 'leased') model.remove([id])
  }

  // Whatever happened before, every message comes out in the end, and nothing is left behind.
  async #drain(): Promise<void> {
    for (const side of this.#sides) await this.#releaseAll(side)
    if (this.#dead !== null) await this.#take({ do: 'redrive', dead: true })
    await this.#take({ do: 'redrive' })
    for (const side of this.#sides) {
      const dead = side === this.#dead
      await this.#take({ do: 'retry', dead })
      await this.#ackAll(side)
    }
  }

  async #releaseAll(side: Side): Promise<void> {
    const { model, receipts } = side
    for (const { id, fence } of receipts) {
      const message = model.messages.get(id)
      if (message?.state !== 'leased' || message.fence !== fence) continue
      await this.#settle(
        side,
        'release',
        receipts.findIndex(r => r.id === id && r.fence === fence)
      )
    }
  }

  async #ackAll(side: Side): Promise<void> {
    const { queue, model, receipts } = side
    while (model.messages.size > 0) {
      same('the drain goes on', (await this.#lease(side, 4)) > 0, true)
      for (const { id } of model.inState('leased')) {
        await this.#settle(
          side,
          'ack',
          receipts.findLastIndex(r => r.id === id)
        )
      }
    }
    same('what is left', await queue.leftovers(), { lines: 0, messages: 0 })
  }
}

for (const [name, kind] of Object.entries(kinds)) {
  t.test(`whatever is called on a queue of the kind ${name}, its rules hold`, async t => {
    let runs = 0
    const follow = async (steps: Step[]) => {
      runs++
      const deadQueue = kind.buries ? await queueWith({ maxAttempts }) : null
      const deadLetterQueue = deadQueue && { deadLetterQueue: deadQueue.name }
      const queue = await queueWith({ ...kind.settings, ...deadLetterQueue, maxAttempts })
      await new Run(kind, queue, deadQueue).follow(steps)
    }
    for (const [bug, steps] of Object.entries(found)) await t.resolves(follow(steps), bug)
    const steps = fc.array(stepOf(kind), { minLength: 10, maxLength: 60, size: 'max' })
    await fc.assert(fc.asyncProperty(steps, follow), {
      numRuns: Number(process.env.HOLDFAST_TEST_RUNS ?? 200),
      interruptAfterTimeLimit: Number(process.env.HOLDFAST_TEST_SECONDS ?? 3) * 1000,
      markInterruptAsFailure: false
    })
    t.ok(runs >= 5, `${runs} runs`)
  })
}
