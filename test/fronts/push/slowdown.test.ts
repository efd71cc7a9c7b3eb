/** What becomes of deliveries while an endpoint fails, and of those to other endpoints meanwhile. */
import t from 'tap'
import { Circuit } from '../../../src/fronts/push/circuit.ts'
import { Room } from '../../../src/fronts/push/room.ts'
import { shareOf } from '../../support/callers.ts'
import { endpoint } from '../../support/endpoint.ts'
import { service } from '../../support/service.ts'

const holdfast = await service(t, { env: { HOLDFAST_PUSH_PRIVATE: 'on' } })
const put = (queue: string, change: object) => holdfast.call('PUT', `/queues/${queue}/push`, change)
const fill = (queue: string, count: number) =>
  holdfast.post(`/queues/${queue}/messages`, {
    messages: Array.from({ length: count }, (_, body) => ({ body }))
  })
const report = async (queue: string) => (await holdfast.get(`/queues/${queue}/push`)).body
const counts = async (queue: string) => (await holdfast.get(`/queues/${queue}`)).body.counts
const attempts = async (queue: string): Promise<number[]> =>
  (await holdfast.get(`/queues/${queue}/messages?limit=1000`)).body.messages.map(
    ({ attempt }: any) => attempt
  )
const used = async (queue: string) => (await attempts(queue)).reduce((sum, attempt) => sum + attempt, 0)

t.test(
  'an endpoint that refuses connections uses up few attempts, explain says so, and it comes back',
  async t => {
    const hook = await endpoint(t)
    await hook.close()
    await holdfast.call('PUT', '/queues/refused', { retry: { strategy: 'fixed', delaySeconds: 0.01 } })
    await put('refused', { url: hook.url, maxConcurrent: 50 })
    await fill('refused', 200)
    let state
    do state = await report('refused')
    while ((state.slowed?.failures ?? 0) < 7)
    t.match(state.slowed, { reason: 'The connection was refused', until: /Z$/ })
    t.ok((await used('refused')) <= 60, `${await used('refused')} attempts`)
    const [{ id }] = (await holdfast.get('/queues/refused/messages?state=ready&limit=1')).body.messages
    const { reasons } = (await holdfast.get(`/queues/refused/messages/${id}/explain`)).body
    t.match(reasons[0], { code: 'pushSlowed', detail: /failed \d+ times in a row/, until: /Z$/ })
    const metrics = (await holdfast.get('/metrics')).text
    t.match(metrics, /^holdfast_push_slowed_queues 1$/m)
    t.match(metrics, /^holdfast_push_deliveries_total\{outcome="unreachable"\} [1-9]/m)
    const back = await endpoint(t, undefined, hook.port)
    await back.got(200)
    let left
    do left = await counts('refused')
    while (left.ready + left.leased + left.delayed > 0)
    t.equal(left.dead, 0, 'no message died')
    t.equal((await report('refused')).slowed, null)
    t.match((await holdfast.get('/metrics')).text, /^holdfast_push_slowed_queues 0$/m)
  }
)

t.test('while slowed, an answer that turns all away uses up no attempt, and another does', async t => {
  for (const [status, counted] of [
    [503, false],
    [429, false],
    [500, true]
  ] as const) {
    const queue = `turned-${status}`
    const hook = await endpoint(t, () => ({ status }))
    await holdfast.call('PUT', `/queues/${queue}`, { retry: { strategy: 'fixed', delaySeconds: 0 } })
    await put(queue, { url: hook.url, maxConcurrent: 1 })
    await fill(queue, 20)
    let state
    do state = await report(queue)
    while ((state.slowed?.failures ?? 0) < 7)
    const { failures } = state.slowed
    // The fifth failure begins the slowdown, and is no attempt either.
    const expected = counted ? failures : 4
    let attempts
    do attempts = await used(queue)
    while (counted ? attempts < expected : attempts !== expected) // one may be under way
    t.pass(`${status}: ${attempts} attempts after ${failures} failures`)
    await holdfast.call('DELETE', `/queues/${queue}`)
  }
})

t.test('a single message outlives an endpoint that is away, with the default attempts', async t => {
  const hook = await endpoint(t)
  await hook.close()
  await holdfast.call('PUT', '/queues/single', { retry: { strategy: 'fixed', delaySeconds: 0.01 } })
  await put('single', { url: hook.url })
  await fill('single', 1)
  let state
  do state = await report('single')
  while ((state.slowed?.failures ?? 0) < 6)
  t.equal((await counts('single')).dead, 0)
  const back = await endpoint(t, undefined, hook.port)
  await back.got(1)
})

t.test('a change of the push ends the slowdown', async t => {
  const [broken, sound] = [await endpoint(t, () => ({ status: 500 })), await endpoint(t)]
  await holdfast.call('PUT', '/queues/moved', {
    maxAttempts: 100,
    retry: { strategy: 'fixed', delaySeconds: 0 }
  })
  await put('moved', { url: broken.url, maxConcurrent: 1 })
  await fill('moved', 20)
  let state
  do state = await report('moved')
  while ((state.slowed?.failures ?? 0) < 6)
  await put('moved', { url: sound.url })
  await sound.got(20)
  t.ok(broken.received.length < 20)
})

t.test('one queue holds at most half of the room that others leave, and who waits is woken', async t => {
  const room = new Room(shareOf(20), shareOf(200))
  const [slow, other, third] = [room.open('key'), room.open('key'), room.open('key')]
  t.equal(room.take(slow, 50), 5)
  t.equal(room.take(other, 50), 2)
  t.equal(room.take(third, 50), 1)
  t.equal(room.take(slow, 1), 0)
  let woken = 0
  room.wait(slow, () => woken++)
  room.give(third, 1)
  t.equal(woken, 0, 'it holds its share still')
  room.give(slow, 4)
  t.equal(woken, 1)
  room.holdBytes(other, 100)
  t.equal(room.take(slow, 1), 0, 'large bodies are bounded too')
})

t.test('however many pushes a key has made, those of another key have room', async t => {
  const room = new Room(shareOf(20), shareOf(200))
  const taken = Array.from({ length: 50 }, () => room.take(room.open('busy'), 50))
  t.equal(
    taken.reduce((sum, count) => sum + count),
    10
  )
  t.equal(room.take(room.open('quiet'), 3), 2)
})

t.test('the circuit', async t => {
  const circuit = new Circuit()
  for (let i = 0; i < 4; i++) circuit.failed('HTTP 500', false)
  t.equal(circuit.allows(9), 9, 'some failures slow nothing')
  circuit.worked()
  for (let i = 0; i < 4; i++) circuit.failed('HTTP 500', false)
  t.equal(circuit.allows(9), 9, 'only those in a row count')
  circuit.failed('HTTP 500', false, 5000)
  t.equal(circuit.allows(9), 0)
  t.ok(circuit.waitMs! > 4900, 'what Retry-After asks for is waited')
  t.match(circuit.slowed, { failures: 5, reason: 'HTTP 500' })
  const { until } = circuit.slowed!
  circuit.failed('late', false)
  t.equal(circuit.slowed!.until, until, 'what began before the slowdown makes it no longer')
  circuit.reset()
  t.equal(circuit.allows(9), 9)
  t.equal(circuit.slowed, null)
})
