/**
 * Random calls against the whole service and against a small model of the queue: both must say the
 * same. Shrunk failures are kept as examples.
 */
import fc from 'fast-check'
import pg from 'pg'
import t from 'tap'
import { freshDatabase } from '../support/postgres.ts'
import { service } from '../support/service.ts'

type Verb = 'ack' | 'fail' | 'failLater' | 'kill' | 'extend' | 'release'
/** `pick` chooses among all receipts ever given, old ones too. */
type Step =
  | { do: 'enqueue'; key: number | null; delayed: boolean }
  | { do: 'lease'; max: number }
  | { do: Verb; pick: number }
  | { do: 'purgeIds'; some: number[] }
  | { do: 'purge' | 'redrive' | 'retry' | 'pause' | 'expire' }
interface Message {
  state: 'ready' | 'delayed' | 'leased' | 'dead'
  attempt: number
  fence: number
  body: string
}

const maxAttempts = 2
const verbs = ['ack', 'fail', 'failLater', 'kill', 'extend', 'release'] as const
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
      some: fc.array(fc.nat(9), { minLength: 1, maxLength: 3 })
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constantFrom(
        'purge' as const,
        'redrive' as const,
        'retry' as const,
        'pause' as const,
        'expire' as const
      )
    })
  }
)

const plain: Step = { do: 'enqueue', key: null, delayed: false }
const one: Step = { do: 'lease', max: 1 }
/** The calls that found a bug, shrunk; the bugs were put in on purpose (test/faultbench/bugs). */
const found: Record<string, Step[]> = {
  'release-counted': [plain, one, { do: 'release', pick: 0 }, one],
  'superseded-told-done': [plain, one, { do: 'release', pick: 0 }, one, { do: 'release', pick: 0 }],
  'key-for-other-content': [
    { do: 'enqueue', key: 2, delayed: true },
    { do: 'enqueue', key: 2, delayed: false }
  ]
}

t.test('whatever is called in whatever order, the service says what the model says', async t => {
  const database = await freshDatabase(t)
  const holdfast = await service(t, { database })
  const sql = new pg.Client(database.url)
  await sql.connect()
  t.teardown(() => sql.end())
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
        throw new Error(`${what}: ${JSON.stringify(found)}, and the model says ${JSON.stringify(wanted)}`)
      }
    }
    const counts = async () => (await holdfast.get(queue)).body.counts

    async function enqueue({ key, delayed }: { key: number | null; delayed: boolean }): Promise<void> {
      const body = key === null ? String(runs) : `"key ${key}"`
      const answer = await holdfast.post(
        `${queue}/messages`,
        `{"body":${body}${delayed ? ',"delaySeconds":1000' : ''}${key === null ? '' : `,"idempotencyKey":"${key}"`}}`
      )
      const known = key === null ? undefined : keys.get(key)
      if (known !== undefined) {
        same(
          'a key again',
          [answer.status, answer.body.id],
          known.delayed === delayed ? [200, known.id] : [422, undefined]
        )
        return
      }
      same('enqueue', answer.status, 201)
      if (key !== null) keys.set(key, { id: answer.body.id, delayed })
      messages.set(answer.body.id, { state: delayed ? 'delayed' : 'ready', attempt: 0, fence: 0, body })
    }

    async function lease(max: number): Promise<void> {
      const leased = (await holdfast.post(`${queue}/lease`, { max })).body.messages
      same('how many are leased', leased.length, paused ? 0 : Math.min(max, inState('ready').length))
      for (const { id, receipt, fence, attempt, body } of leased) {
        const message = messages.get(id)!
        same(
          'what is leased',
          [message.state, fence, attempt, JSON.stringify(body)],
          ['ready', message.fence + 1, message.attempt + 1, message.body]
        )
        Object.assign(message, { state: 'leased', fence, attempt })
        receipts.push({ receipt, id, fence })
      }
    }

    async function settle(verb: Verb, pick: number): Promise<void> {
      if (receipts.length === 0) return
      const { receipt, id, fence } = receipts[pick % receipts.length]!
      const message = messages.get(id)
      const wanted = () => {
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
        message.state =
          state === 'dead' || verb === 'kill' || message.attempt >= maxAttempts
            ? 'dead'
            : verb === 'fail'
              ? 'ready'
              : 'delayed'
        return message.state === 'dead' ? 'dead' : 'retrying'
      }
      const call = {
        ack: { receipts: [receipt] },
        release: { receipts: [receipt] },
        extend: { extensions: [{ receipt, leaseSeconds: 1000 }] }
      }[verb as 'ack'] ?? {
        failures: [{ receipt, dead: verb === 'kill', delaySeconds: verb === 'failLater' ? 1000 : 0 }]
      }
      const answer = await holdfast.post(
        `${queue}/${['fail', 'failLater', 'kill'].includes(verb) ? 'fail' : verb}`,
        call
      )
      same(
        `${verb} of ${JSON.stringify(message)} with fence ${fence}`,
        answer.body.outcomes[0].outcome,
        wanted()
      )
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
        for (const message of dead) Object.assign(message, { state: 'ready', attempt: 0 })
      } else if (step.do === 'retry') {
        const delayed = inState('delayed')
        same('retry', (await holdfast.post(`${queue}/retry`)).body.retried, delayed.length)
        for (const message of delayed) message.state = 'ready'
      } else if (step.do === 'purgeIds') {
        const ids = [...new Set(step.some.flatMap(index => [...messages.keys()][index] ?? []))]
        if (ids.length === 0) continue
        const free = ids.filter(id => messages.get(id)!.state !== 'leased')
        same('purge by ids', (await holdfast.post(`${queue}/purge`, { ids })).body.purged, free.length)
        for (const id of free) messages.delete(id)
      } else if (step.do === 'pause') {
        paused = !paused
        await holdfast.call('PUT', queue, { paused })
      } else {
        await sql.query(`with m as (update holdfast.messages set leased_until = now() - interval '1 s' where leased_until is not null)
          update holdfast.leases set ends_at = now() - interval '1 s'`)
        while ((await counts()).leased > 0);
        for (const message of inState('leased')) {
          message.state = message.attempt >= maxAttempts ? 'dead' : 'ready'
        }
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
