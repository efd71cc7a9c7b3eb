/** Every verb at random, from twelve callers on two replicas, over one queue. */
import t from 'tap'
import { everything } from '../../src/core/message.ts'
import type { Outcome } from '../../src/core/verbs/settle.ts'
import { conserved, deadlocks, never, poolA, poolB, queue, receiptsOf, replica } from './setup.ts'
import { tester } from '../support/callers.ts'

const pick = <T>(from: readonly T[]): T => from[Math.floor(Math.random() * from.length)]!

t.test('whatever two replicas do to one queue at once, nothing is lost, doubled or deadlocked', async t => {
  const { id, name } = await queue({
    leaseSeconds: 0.02,
    maxAttempts: 3,
    keepAckedSeconds: 60,
    retry: { strategy: 'fixed', delaySeconds: 0.02 }
  })
  const replicas = [replica(poolA), replica(poolB)]
  const before = await deadlocks()
  const enqueued: string[] = []
  const leases = new Set<string>()
  const leasedTwice: string[] = []
  const acked: string[] = []
  const refused: unknown[] = []
  const untilMs = performance.now() + 3000

  const caller = async (index: number) => {
    const { broker } = replicas[index % 2]!
    let receipts: string[] = []
    const noteAcks = (sent: string[], outcomes: Outcome[]) => {
      const done = sent.filter((_, i) => outcomes[i]!.outcome === 'acked')
      acked.push(...done.map(receipt => receipt.split('.')[1]!))
      receipts = receipts.filter(receipt => !sent.includes(receipt))
    }

    const enqueueList = async () => {
      const list = Array.from({ length: 1 + Math.floor(Math.random() * 20) }, (_, i) => ({
        body: String(i),
        contentType: null,
        priority: pick([4, 4, 9]),
        delaySeconds: pick([undefined, undefined, 0.03]),
        ttlSeconds: pick([undefined, undefined, undefined, 0.1]),
        idempotencyKey: pick([undefined, `${index} ${Math.random()}`])
      }))
      for (const { id, duplicate } of await broker.enqueue(tester, name, list, true)) {
        if (!duplicate) enqueued.push(id)
      }
    }
    const leaseAndAck = async (chosen: string[]) => {
      const acks = pick([[], chosen])
      const request = {
        max: 30,
        waitSeconds: 0,
        leaseSeconds: pick([null, 5]),
        worker: 'w',
        idempotencyKey: pick([null, null, String(Math.random())])
      }
      const leased = await broker.lease(tester, name, request, acks, () => never)
      noteAcks(acks, leased.outcomes)
      for (const { id, fence } of leased.messages) {
        if (leases.has(`${id} ${fence}`)) leasedTwice.push(`${id} ${fence}`)
        leases.add(`${id} ${fence}`)
      }
      receipts = [...receipts, ...receiptsOf(leased.messages)].slice(-60)
    }
    const ack = async (chosen: string[]) => {
      const settlements = chosen.map(receipt => ({ receipt }))
      noteAcks(chosen, await broker.settle(tester, name, 'ack', settlements, String))
    }
    const fail = (chosen: string[]) => {
      const settlements = chosen.map(receipt => ({
        receipt,
        delaySeconds: pick([0, 0.02]),
        dead: Math.random() < 0.1
      }))
      return broker.settle(tester, name, 'fail', settlements, String)
    }
    const release = (chosen: string[]) => {
      const settlements = chosen.map(receipt => ({ receipt }))
      return broker.settle(tester, name, 'release', settlements, String)
    }
    const extend = (chosen: string[]) => {
      const settlements = chosen.map(receipt => ({ receipt, leaseSeconds: pick([0.01, 1]) }))
      return broker.settle(tester, name, 'extend', settlements, String)
    }
    const redrive = () => {
      const selection = { ids: null, where: null, limit: 20 }
      return broker.redrive(tester, name, { selection, to: null, signal: never })
    }
    const purge = async () => {
      if (Math.random() >= 0.1) return
      const state = pick(['dead', 'delayed', 'ready', null] as const)
      await broker.bulk(tester, name, { action: 'purge', state, selection: everything }, never)
    }
    const cancel = async () => {
      if (enqueued.length === 0) return
      await broker.cancel(tester, name, pick(enqueued)).catch(error => {
        if (!['messageLeased', 'messageNotFound'].includes(error.code)) throw error
      })
    }

    const often = [enqueueList, leaseAndAck, ack]
    const verbs = [...often, ...often, fail, release, extend, redrive, purge, cancel]
    while (performance.now() < untilMs) {
      const chosen = receipts.filter(() => Math.random() < 0.7).sort(() => Math.random() - 0.5)
      await pick(verbs)(chosen).catch(error => refused.push(error))
    }
  }

  await Promise.all(Array.from({ length: 12 }, (_, index) => caller(index)))
  await Promise.all(replicas.map(({ stop }) => stop()))
  t.strictSame([...refused, ...replicas.flatMap(({ errors }) => errors)], [])
  t.strictSame(leasedTwice, [], 'no lease is given twice')
  t.equal(new Set(acked).size, acked.length, 'no message is acked by two receipts')
  t.equal(await deadlocks(), before)
  t.comment(`${enqueued.length} enqueued, ${leases.size} leases, ${acked.length} acks`)
  t.ok(acked.length > 100 && leases.size > 1000)
  await conserved(t, id)
})
