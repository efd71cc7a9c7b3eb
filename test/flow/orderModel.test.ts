/**
 * Random calls on queues with an order or with turns, against the whole service and against a model
 * of the rules. Calls that found a bug are kept, in their shortest form.
 */
import fc from 'fast-check'
import t from 'tap'
import { openDatabase } from '../../src/store/database.ts'
import { expire, expireParked, sweepLeases } from '../../src/store/upkeep/sweeps.ts'
import { FairModel } from './fairModel.ts'
import { maxAttempts, OrderModel } from './orderModel.ts'
import { databaseUrl, endLeases, holdfast, queueWith, sql, type FlowQueue } from './setup.ts'

const verbs = ['ack', 'fail', 'failLater', 'kill', 'release'] as const
type Verb = (typeof verbs)[number]
/** How the queue orders its messages: in groups, as one group, or by turns of groups. */
type Kind = keyof typeof settingsOf
/** `pick` chooses among all receipts or messages, old ones too. */
type Step =
  | { do: 'enqueue'; groups: number[]; priority: number }
  | { do: 'lease'; max: number }
  | { do: Verb; pick: number }
  | { do: 'lapse' | 'expire' | 'purgeIds'; picks: number[] }
  | { do: 'cancel'; pick: number }
  | { do: 'purgeReady' | 'redrive' | 'retry' }

const picks = fc.array(fc.nat(12), { minLength: 1, maxLength: 3 })
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      groups: fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }),
      priority: fc.integer({ min: 3, max: 5 })
    })
  },
  {
    weight: 5,
    arbitrary: fc.record({ do: fc.constant('lease' as const), max: fc.integer({ min: 1, max: 6 }) })
  },
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom(...verbs), pick: fc.nat(20) }) },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constantFrom('lapse' as const, 'expire', 'purgeIds'), picks })
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cancel' as const), pick: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('purgeReady' as const, 'redrive', 'retry') }) }
)

const found: Record<string, Step[]> = {
  'a group that was served last in an answer kept its turn before another': [
    { do: 'enqueue', groups: [1, 2, 1, 2, 1, 1, 2], priority: 4 },
    { do: 'lease', max: 5 },
    { do: 'lease', max: 1 },
    { do: 'lease', max: 1 }
  ],
  'a redrive of several went by their ids': [
    { do: 'enqueue', groups: [1, 1], priority: 4 },
    { do: 'lease', max: 1 },
    { do: 'kill', pick: 0 },
    { do: 'redrive' },
    { do: 'lease', max: 1 },
    { do: 'kill', pick: 1 },
    { do: 'lease', max: 1 },
    { do: 'kill', pick: 2 },
    { do: 'redrive' },
    { do: 'lease', max: 1 }
  ]
}

const database = openDatabase({ connectionString: databaseUrl }, { poolSize: 1, onError: () => {} })
t.teardown(() => database.close())

class Run {
  readonly #model: OrderModel
  readonly #queue: FlowQueue
  readonly #kind: Kind
  readonly #receipts: { receipt: string; id: string; fence: number }[] = []

  constructor(queue: FlowQueue, kind: Kind) {
    this.#model = kind === 'turns' ? new FairModel() : new OrderModel()
    this.#queue = queue
    this.#kind = kind
  }

  async follow(steps: Step[]): Promise<void> {
    for (const step of steps) {
      await this.#take(step)
      await this.#compareCounts(JSON.stringify(step))
    }
    await this.#drain()
  }

  #same(what: string, got: unknown, wanted: unknown): void {
    if (JSON.stringify(got) !== JSON.stringify(wanted)) {
      throw new Error(`${what}: ${JSON.stringify(got)}, but the model says ${JSON.stringify(wanted)}`)
    }
  }

  async #compareCounts(after: string): Promise<void> {
    const { counts } = (await holdfast.get(this.#queue.path)).body
    for (const state of ['ready', 'delayed', 'leased', 'dead'] as const) {
      this.#same(`${state} after ${after}`, counts[state], this.#model.inState(state).length)
    }
  }

  async #take(step: Step): Promise<void> {
    const { path } = this.#queue
    if (step.do === 'enqueue') return await this.#enqueue(step.groups, step.priority)
    if (step.do === 'lease') {
      await this.#lease(step.max)
      return
    }
    if (step.do === 'redrive') {
      return this.#same(
        'redrive',
        (await holdfast.post(`${path}/redrive`)).body.redriven,
        this.#model.redrive()
      )
    }
    if (step.do === 'retry') {
      return this.#same('retry', (await holdfast.post(`${path}/retry`)).body.retried, this.#model.retry())
    }
    if (step.do === 'purgeReady') {
      const ready = this.#model.inState('ready')
      const { body } = await holdfast.post(`${path}/purge`, { state: 'ready' })
      this.#same('purge', body.purged, ready.length)
      this.#model.remove(ready.map(({ id }) => id))
      return
    }
    if ('picks' in step) return await this.#end(step.do, step.picks)
    if (step.do === 'cancel') return await this.#cancel(step.pick)
    if ('pick' in step) await this.#settle(step.do, step.pick)
  }

  async #enqueue(groups: number[], priority: number): Promise<void> {
    const messages = groups.map(group => ({
      body: 1,
      ...(group > 0 && { group: `g${group}` }),
      ...(this.#kind === 'turns' && { priority })
    }))
    const { body } = await holdfast.post(`${this.#queue.path}/messages`, { messages })
    for (const [index, { id }] of body.messages.entries()) {
      const group = groups[index]! > 0 ? `g${groups[index]}` : null
      this.#model.enqueue(id, this.#kind === 'queue' ? '' : group, priority)
    }
  }

  async #lease(max: number): Promise<number> {
    const wanted = Math.min(max, this.#model.leasable)
    const leased = await this.#queue.lease(max)
    this.#same('how many are leased', leased.length, wanted)
    this.#same('what is leased', this.#model.lease(leased.map(({ id }) => id)), null)
    for (const { id, receipt } of leased) {
      this.#receipts.push({ receipt, id, fence: this.#model.messages.get(id)!.fence })
    }
    return leased.length
  }

  async #settle(verb: Verb, pick: number): Promise<void> {
    if (this.#receipts.length === 0) return
    const { receipt, id, fence } = this.#receipts[pick % this.#receipts.length]!
    const [path, body] = {
      ack: ['ack', { receipts: [receipt] }] as const,
      release: ['release', { receipts: [receipt] }] as const,
      fail: ['fail', { failures: [{ receipt, delaySeconds: 0 }] }] as const,
      failLater: ['fail', { failures: [{ receipt, delaySeconds: 1000 }] }] as const,
      kill: ['fail', { failures: [{ receipt, dead: true }] }] as const
    }[verb]
    const answer = await holdfast.post(`${this.#queue.path}/${path}`, body)
    this.#same(`${verb} of ${id}`, answer.body.outcomes[0].outcome, this.#model.settle(verb, id, fence))
  }

  #picked(picks: number[], from: { id: string }[]): string[] {
    return [...new Set(picks.flatMap(pick => (from.length === 0 ? [] : from[pick % from.length]!.id)))]
  }

  async #end(what: 'lapse' | 'expire' | 'purgeIds', picks: number[]): Promise<void> {
    const leased = this.#model.inState('leased')
    const others = [...this.#model.messages.values()].filter(({ state }) => state !== 'leased')
    const ids = this.#picked(picks, what === 'lapse' ? leased : others)
    if (ids.length === 0) return
    if (what === 'purgeIds') {
      const { body } = await holdfast.post(`${this.#queue.path}/purge`, { ids })
      this.#same('purge by ids', body.purged, ids.length)
    } else if (what === 'expire') {
      await sql.query('update holdfast.messages set expires_at = now() where id = any($1)', [ids])
      await this.#sweepUntil(ids, 'id is null')
    } else {
      await endLeases(this.#queue, ids)
      await this.#sweepUntil(ids, 'leased_until is null')
    }
    if (what === 'lapse') this.#model.lapse(ids)
    else this.#model.remove(ids)
  }

  // The service's own sweeper may be first, and then it is waited for.
  async #sweepUntil(ids: string[], condition: string): Promise<void> {
    for (let done = false; !done;) {
      for (const statement of [sweepLeases, expireParked, expire]) {
        await database.query(statement, ['-infinity'])
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

  async #cancel(pick: number): Promise<void> {
    const messages = [...this.#model.messages.values()]
    if (messages.length === 0) return
    const { id, state } = messages[pick % messages.length]!
    const { status } = await holdfast.call('DELETE', `${this.#queue.path}/messages/${id}`)
    this.#same('cancel', status, state === 'leased' ? 409 : 204)
    if (state !== 'leased') this.#model.remove([id])
  }

  // Whatever happened before, every message comes out in the end, and nothing is left behind.
  async #drain(): Promise<void> {
    for (const { id, fence } of this.#receipts) {
      const message = this.#model.messages.get(id)
      if (message?.state === 'leased' && message.fence === fence) {
        await this.#settle(
          'release',
          this.#receipts.findIndex(r => r.id === id && r.fence === fence)
        )
      }
    }
    await this.#take({ do: 'redrive' })
    await this.#take({ do: 'retry' })
    while (this.#model.messages.size > 0) {
      this.#same('the drain goes on', (await this.#lease(4)) > 0, true)
      for (const { id } of this.#model.inState('leased')) {
        await this.#settle(
          'ack',
          this.#receipts.findLastIndex(r => r.id === id)
        )
      }
    }
    this.#same('what is left', await this.#queue.leftovers(), { lines: 0, messages: 0 })
  }
}

const settingsOf = {
  group: { ordering: 'group' },
  queue: { ordering: 'queue' },
  turns: { fairness: 'group' }
}

for (const kind of Object.keys(settingsOf) as Kind[]) {
  t.test(`whatever is called on a queue of the kind ${kind}, its rules hold`, async t => {
    let runs = 0
    const follow = async (steps: Step[]) => {
      runs++
      await new Run(await queueWith({ ...settingsOf[kind], maxAttempts }), kind).follow(steps)
    }
    for (const [bug, steps] of Object.entries(found)) await t.resolves(follow(steps), bug)
    await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), follow), {
      numRuns: Number(process.env.HOLDFAST_TEST_RUNS ?? 25),
      interruptAfterTimeLimit: Number(process.env.HOLDFAST_TEST_SECONDS ?? 10) * 1000,
      markInterruptAsFailure: false
    })
    t.ok(runs >= 5, `${runs} runs`)
  })
}
