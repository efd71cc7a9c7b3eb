/** What the load generator's callers do, by the step of a load. */
import type { Connection } from './connection.ts'
import { pushed } from './pushed.ts'
import { tenTopic } from './topic.ts'
import type { Caller, Load, Slice } from './slice.ts'

export const callers: Record<Load['step'], (slice: Slice) => Caller> = {
  enqueue: enqueuer,
  publish: publisher,
  consume: consumer,
  ack: acker,
  loop: looper,
  pass: passer,
  push: pushed,
  latency: waiter
}

function enqueuer(slice: Slice): Caller {
  const nextRequest = enqueueRequests(slice)
  const enqueue: Caller = connection => {
    if (!slice.send()) return slice.callerEnds()
    slice.ask(connection, nextRequest(), () => {
      slice.confirmed(slice.load.count)
      enqueue(connection)
    })
  }
  return enqueue
}

function publisher(slice: Slice): Caller {
  const request = slice.dialect.publish(tenTopic.name, bodyOf(slice.load.bodyBytes))
  const publish: Caller = connection => {
    if (!slice.send()) return slice.callerEnds()
    slice.ask(connection, request, () => {
      slice.confirmed(tenTopic.queues.length)
      publish(connection)
    })
  }
  return publish
}

function enqueueRequests({ load, dialect }: Slice): () => string {
  const body = bodyOf(load.bodyBytes)
  if (load.priorities === true) {
    const requests = Array.from({ length: 10 }, (_, priority) =>
      dialect.enqueue(load.count, body, { priority })
    )
    return () => requests[Math.floor(Math.random() * 10)]!
  }
  if (load.groups !== undefined) {
    const group = () => `g${Math.floor(Math.random() * load.groups!)}`
    return () => dialect.enqueue(load.count, body, { group })
  }
  const { uniqueKeys } = load
  if (uniqueKeys !== undefined) {
    return () => {
      const key = String(Math.floor(Math.random() * uniqueKeys))
      return dialect.enqueue(1, body, { unique: { key, onConflict: 'replace' } })
    }
  }
  if (load.keyed === true) return () => dialect.enqueue(1, body, { idempotencyKey: newKey() })
  const request = dialect.enqueue(load.count, body, { delaySeconds: load.delaySeconds })
  return () => request
}

function consumer(slice: Slice): Caller {
  const { dialect, load } = slice
  const leaseRequest = dialect.lease(load.count, [], load.waits === true ? { waitSeconds: 20 } : {})
  const consume: Caller = connection => {
    if (slice.ending) return slice.callerEnds()
    slice.ask(connection, leaseRequest, answer => {
      const receipts = slice.receiptsIn(answer)
      if (receipts.length === 0) {
        slice.result.empty++
        return consume(connection)
      }
      settle(connection, receipts)
    })
  }
  const settle = (connection: Connection, receipts: string[]) => {
    const fails = load.failShare !== undefined && Math.random() < load.failShare
    slice.ask(connection, fails ? dialect.fail(receipts) : dialect.ack(receipts), () => {
      if (fails) slice.handled(receipts.length)
      else slice.confirmed(receipts.length)
      consume(connection)
    })
  }
  return consume
}

/** What an acker leases at once. Leasing then costs little beside the acks. */
export const leasedAhead = 100

function acker(slice: Slice): Caller {
  const { dialect, load } = slice
  const body = bodyOf(load.bodyBytes)
  const leaseRequest = dialect.lease(leasedAhead, [])
  const take: Caller = connection => {
    if (slice.ending) return slice.callerEnds()
    slice.ask(connection, leaseRequest, answer => {
      const receipts = slice.receiptsIn(answer)
      if (receipts.length === 0) slice.result.empty++
      ackNext(connection, receipts)
    })
  }
  const ackNext = (connection: Connection, receipts: string[]) => {
    const receipt = slice.ending ? undefined : receipts.pop()
    if (receipt === undefined) return take(connection)
    slice.ask(connection, load.then ? dialect.ackThen(receipt, body) : dialect.ack([receipt]), () => {
      slice.confirmed(1)
      ackNext(connection, receipts)
    })
  }
  return take
}

function looper(slice: Slice): Caller {
  const { dialect, load } = slice
  const request = (held: string[]) => {
    if (slice.ending) return dialect.ack(held)
    return dialect.lease(load.count, held, load.keyed === true ? { idempotencyKey: newKey() } : {})
  }
  const loop = (connection: Connection, held: string[]) => {
    if (slice.ending && held.length === 0) return slice.callerEnds()
    slice.ask(connection, request(held), answer => {
      slice.confirmed(held.length)
      if (slice.ending) return slice.callerEnds()
      // The outcomes of the acks come last, with receipts of their own.
      const receipts = slice.receiptsIn(answer.slice(0, answer.lastIndexOf(',"outcomes":')))
      if (receipts.length === 0) slice.result.empty++
      loop(connection, receipts)
    })
  }
  return connection => loop(connection, [])
}

function passer(slice: Slice): Caller {
  const { dialect, load } = slice
  const enqueueRequest = dialect.enqueue(load.count, bodyOf(load.bodyBytes))
  const leaseRequest = dialect.lease(load.count, [])
  const enqueue: Caller = connection => {
    if (!slice.send()) return slice.callerEnds()
    slice.ask(connection, enqueueRequest, () => take(connection))
  }
  const take: Caller = connection =>
    slice.ask(connection, leaseRequest, answer => {
      const receipts = slice.receiptsIn(answer)
      if (receipts.length === 0) return take(connection)
      slice.ask(connection, dialect.ack(receipts), () => {
        slice.confirmed(receipts.length)
        enqueue(connection)
      })
    })
  return enqueue
}

/** Waits for one message after the other. A body says when its message was sent, others say nothing. */
function waiter(slice: Slice): Caller {
  const { dialect, load } = slice
  const leaseRequest = dialect.lease(1, [], { waitSeconds: 20 })
  const wait: Caller = connection =>
    slice.ask(connection, leaseRequest, answer => {
      const receipts = slice.receiptsIn(answer)
      if (receipts.length === 0) return wait(connection)
      const sent = /"sentMs":([\d.]+)/.exec(answer)
      if (sent !== null) slice.time(Number(sent[1]))
      const done = () => ackAndWait(connection, receipts, sent !== null)
      if (load.workMs === undefined) done()
      else setTimeout(done, Math.random() * 2 * load.workMs)
    })
  const ackAndWait = (connection: Connection, receipts: string[], isTimed: boolean) => {
    slice.ask(connection, dialect.ack(receipts), () => {
      if (isTimed) {
        slice.handled(1)
        slice.landed()
      }
      wait(connection)
    })
  }
  return wait
}

/** Enqueues at the load's rate, each message on a connection that is idle. */
export function produce(slice: Slice): NodeJS.Timeout {
  const { dialect, load } = slice
  const idle = Array.from({ length: load.callers }, () => slice.connect(load.port))
  const startMs = performance.now()
  let sent = 0
  const enqueue = (connection: Connection) => {
    slice.enqueuing()
    const body = `{"sentMs":${performance.now()}}`
    const group = () => `g${Math.floor(Math.random() * load.groups!)}`
    const options = load.groups === undefined ? {} : { group }
    connection.ask(dialect.enqueue(1, body, options), (status, answer) => {
      idle.push(connection)
      if (status === 201) return
      slice.failed(status, answer)
      slice.landed()
    })
  }
  return setInterval(() => {
    for (; sent < ((performance.now() - startMs) / 1000) * load.ratePerSecond!; sent++) {
      const connection = idle.pop()
      if (connection === undefined) slice.failed(0, 'the producers cannot keep up')
      else enqueue(connection)
    }
  }, 1)
}

/** A JSON object of this many bytes. */
function bodyOf(bytes: number): string {
  const body = { to: 'ada@example.org', subject: 'Welcome', attempt: 1, text: '' }
  return JSON.stringify({ ...body, text: 'x'.repeat(Math.max(0, bytes - JSON.stringify(body).length)) })
}

let keys = 0
const newKey = () => `${process.pid}-${++keys}`
