/**
 * Random calls against the whole service and against a small model of a queue: both must give the
 * same answers. Calls that found a bug are kept, in their shortest form.
 */
import fc from 'fast-check'
import t from 'tap'
import { pollPause } from '../support/pollPause.ts'
import { connect, freshDatabase } from '../support/postgres.ts'
import { service } from '../support/service.ts'

type Verb = 'ack' | 'fail' | 'failLater' | 'kill' | 'extend' | 'release'
/** `pick` chooses among all receipts, old ones too; `picks` among all messages. */
type Step =
  | { do: 'enqueue'; key: number | null; delayed: boolean }
  | { do: 'lease'; max: number }
  | { do: Verb; pick: number }
  | { do: 'purgeIds'; picks: number[] }
  | { do: 'purge' | 'redrive' | 'retry' | 'pause' | 'expire' }
interface Message {
  state: 'ready' | 'delayed' | 'leased' | 'dead'
  attempt: number
  fence: number
  body: number | string
}

const maxAttempts = 2
const verbs = ['ack', 'fail', 'failLater', 'kill', 'extend', 'release'] as const
const others = ['purge', 'redrive', 'retry', 'pause', 'expire'] as const
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('enqueue' as const),
      key: fc.option(fc.nat(2)),
      delayed: fc.boolean()
    })
  },
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('lease' as const), max: fc.integer({ min: 1, max: 4 }) })
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom(...verbs), pick: fc.nat(20) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('purgeIds' as const),
      picks: fc.array(fc.nat(9), { minLength: 1, maxLength: 3 })
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: fc.constantFrom(...others) })
  }
)

const enqueueOne: Step = { do: 'enqueue', key: null, delayed: false }
const leaseOne: Step = { do: 'lease', max: 1 }
const releaseFirst: Step = { do: 'release', pick: 0 }
/** Calls that found a bug, in their shortest form. The bugs are those of test/faultbench/bugs. */
const found: Record<string, Step[]> = {
  'release-counted': [enqueueOne, leaseOne, releaseFirst, leaseOne],
  'superseded-told-done': [enqueueOne, leaseOne, releaseFirst, leaseOne, releaseFirst],
  'key-for-other-content': [
    { do: 'enqueue', key: 2, delayed: true },
    { do: 'enqueue', key: 2, delayed: false }
  ]
}

t.test('whatever is called, in whatever order, the service says what the model says', async t => {
  const database = await freshDatabase(t)
  const holdfast = await service(t, { database })
  const sql = await connect(t, database.url)
  let runs = 0

  async function follow(steps: Step[]): Promise<void> {
    const queue = `/queues/run${++runs}`
    await holdfast.call('PUT', queue, { maxAttempts, leaseSeconds: 1000 })
    const messages = new Map<string, Message>()
    const keys = new Map<number, { id: string; delayed: boolean }>()
    const receipts: { receipt: string; id: string; fence: number }[] = []
    let paused = false
    const inState = (state: Message['state']) =>
      [...messages.values()].filter(message => message.state === state)
    const same = (what: string, found: unknown, wanted: unknown) => {
      if (JSON.stringify(found) !== JSON.stringify(wanted)) {
        throw new Error(`${what}: ${JSON.stringify(found)}, but the model says ${JSON.stringify(wanted)}`)
      }
    }
    const counts = async () => (await holdfast.get(queue)).body.counts

    async function enqueue({ key, delayed }: { key: number | null; delayed: boolean }): Promise<void> {
      const body = key === null ? runs : `key ${key}`
      const answer = await holdfast.post(`${queue}/messages`, {
        body,
        ...(delayed && { delaySeconds: 1000 }),
        ...(key !== null && { idempotencyKey: `${key}` })
      })
      const { id } = answer.body
      const stored = key === null ? undefined : keys.get(key)
      if (stored !== undefined) {
        const wanted = stored.delayed === delayed ? [200, stored.id] : [422, undefined]
        return same('a key again', [answer.status, id], wanted)
      }
      same('enqueue', answer.status, 201)
      if (key !== null) keys.set(key, { id, delayed })
      messages.set(id, { state: delayed ? 'delayed' : 'ready', attempt: 0, fence: 0, body })
    }

    async function lease(max: number): Promise<void> {
      const leased = (await holdfast.post(`${queue}/lease`, { max })).body.messages
      same('how many are leased', leased.length, paused ? 0 : Math.min(max, inState('ready').length))
      for (const { id, receipt, fence, attempt, body } of leased) {
        const message = messages.get(id)!
        same(
          'what is leased',
          [message.state, fence, attempt, body],
          ['ready', message.fence + 1, message.attempt + 1, message.body]
        )
        Object.assign(message, { state: 'leased', fence, attempt })
        receipts.push({ receipt, id, fence })
      }
    }

    /** What the model answers, having changed its message. */
    function settleInModel(verb: Verb, id: string, fence: number): string {
      const message = messages.get(id)
      if (message === undefined) return 'gone'
      if (message.fence !== fence) return 'leaseLost'
      const { state } = message
      if (verb === 'ack') {
        messages.delete(id)
        return 'acked'
      }
      if (verb === 'extend') return state === 'leased' ? 'extended' : 'leaseLost'
      if (verb === 'release') {
        if (state === 'leased') Object.assign(message, { state: 'ready', attempt: message.attempt - 1 })
        return state === 'dead' ? 'dead' : 'released'
      }
      if (state === 'dead' || verb === 'kill' || message.attempt >= maxAttempts) message.state = 'dead'
      else message.state = verb === 'fail' ? 'ready' : 'delayed'
      return message.state === 'dead' ? 'dead' : 'retrying'
    }

    async function settle(verb: Verb, pick: number): Promise<void> {
      if (receipts.length === 0) return
      const { receipt, id, fence } = receipts[pick % receipts.length]!
      const failure = (options: object) => ['fail', { failures: [{ receipt, ...options }] }] as const
      const [path, body] = {
        ack: ['ack', { receipts: [receipt] }] as const,
        release: ['release', { receipts: [receipt] }] as const,
        extend: ['extend', { extensions: [{ receipt, leaseSeconds: 1000 }] }] as const,
        fail: failure({ delaySeconds: 0 }),
        failLater: failure({ delaySeconds: 1000 }),
        kill: failure({ dead: true })
      }[verb]
      const answer = await holdfast.post(`${queue}/${path}`, body)
      const what = `${verb} of ${JSON.stringify(messages.get(id))} with fence ${fence}`
      same(what, answer.body.outcomes[0].outcome, settleInModel(verb, id, fence))
    }

    async function expire(): Promise<void> {
      await sql.query(`
        with messages as (
          update holdfast.messages
          set leased_until = now() - interval '1 s'
          where leased_until is not null
        )
        update holdfast.leases
        set ends_at = now() - interval '1 s'`)
      while ((await counts()).leased > 0) await pollPause()
      for (const message of inState('leased')) {
        message.state = message.attempt >= maxAttempts ? 'dead' : 'ready'
      }
    }

    for (const step of steps) {
      if (step.do === 'enqueue') await enqueue(step)
      else if (step.do === 'lease') await lease(step.max)
      else if ('pick' in step) await settle(step.do, step.pick)
      else if (step.do === 'purge') {
        same('purge', (await holdfast.post(`${queue}/purge`)).body.purged, messages.size)
        messages.clear()
      } else if (step.do === 'redrive') {
        const dead = inState('dead')
        same('redrive', (await holdfast.post(`${queue}/redrive`)).body.redriven, dead.length)
        for (const message of dead) {
          Object.assign(message, { state: 'ready', attempt: 0, fence: message.fence + 1 })
        }
      } else if (step.do === 'retry') {
        const delayed = inState('delayed')
        same('retry', (await holdfast.post(`${queue}/retry`)).body.retried, delayed.length)
        for (const message of delayed) message.state = 'ready'
      } else if (step.do === 'purgeIds') {
        const ids = [...new Set(step.picks.flatMap(index => [...messages.keys()][index] ?? []))]
        if (ids.length === 0) continue
        const free = ids.filter(id => messages.get(id)!.state !== 'leased')
        same('purge by ids', (await holdfast.post(`${queue}/purge`, { ids })).body.purged, free.length)
        for (const id of free) messages.delete(id)
      } else if (step.do === 'pause') {
        paused = !paused
        await holdfast.call('PUT', queue, { paused })
      } else {
        await expire()
      }
      const now = await counts()
      same(
        `counts after ${JSON.stringify(step)}`,
        [now.ready, now.delayed, now.leased, now.dead],
        (['ready', 'delayed', 'leased', 'dead'] as const).map(state => inState(state).length)
      )
    }
  }

  for (const [bug, steps] of Object.entries(found)) await t.resolves(follow(steps), bug)
  await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60, size: 'max' }), follow), {
    numRuns: 25,
    interruptAfterTimeLimit: 20_000,
    markInterruptAsFailure: false
  })
  t.ok(runs >= 5, `${runs} runs`)
})
