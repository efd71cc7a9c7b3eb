/**
 * The load generator, a process of its own: callers on raw sockets, each with one request under
 * way. Told what to do by its parent in messages. It reads into one buffer for all sockets and
 * looks only for what it needs, since every microsecond it takes is taken from the service on the
 * machine's other core.
 */
import net from 'node:net'

/** What each caller does again and again. */
export interface Load {
  port: number
  dialect: 'rest' | 'sqs'
  queue: string
  callers: number
  /**
   * enqueue: one request; consume: lease, then ack; loop: lease with the last receipts in `ack`;
   * pass: enqueue, lease and ack in turn; latency: see `ratePerSecond`.
   */
  step: 'enqueue' | 'consume' | 'loop' | 'pass' | 'latency'
  /** Messages per request. */
  count: number
  /** Bytes of one message's body. */
  bodyBytes: number
  warmMs: number
  runMs: number
  /** enqueue and pass: the slice ends when so many have been sent, if that comes first. */
  messagesMax?: number
  /** latency: so many enqueues a second, while `callers` consumers wait (at `consumersPort`). */
  ratePerSecond?: number
  consumersPort?: number
  /** consume: receipts failed instead of acked, as a share. */
  failShare?: number
  /** enqueue: a priority at random among ten. */
  priorities?: boolean
  /** enqueue: of every message. */
  delaySeconds?: number
  /** enqueue and loop: each request with an idempotency key of its own, as holdfast/client sends it. */
  keyed?: boolean
}

export interface LoadResult {
  /** Messages confirmed within the window, and how long that was. */
  messages: number
  windowMs: number
  /**
   * All messages confirmed (enqueued, or acked), warm-up and end included: what the database must
   * agree with.
   */
  total: number
  errors: number
  /** The first error's status line and body. */
  error: string | null
  /** Leases that came back empty: the queue ran dry, so the slice says nothing. */
  empty: number
  p50Ms: number
  p99Ms: number
  /** Processor time of this process in the window. */
  cpuMs: number
}

/** Messages to the parent: `window` when the measured time begins, `end` when it ends, then the result. */
export type LoadEvent = { event: 'window' } | { event: 'end' } | { event: 'result'; result: LoadResult }

const shared = Buffer.allocUnsafeSlow(1 << 20)

/** One keep-alive connection with one request under way. */
class Connection {
  readonly #socket: net.Socket
  #waiting: ((status: number, answer: string) => void) | null = null
  #text = ''
  #length = -1

  constructor(port: number) {
    this.#socket = net.connect({
      port,
      host: '127.0.0.1',
      noDelay: true,
      onread: { buffer: shared, callback: bytes => this.#read(bytes) }
    })
    this.#socket.on('error', error => this.#end(0, error.message))
    this.#socket.on('close', () => this.#end(0, 'connection closed'))
  }

  ask(request: string, answered: (status: number, answer: string) => void): void {
    this.#waiting = answered
    this.#socket.write(request, 'latin1')
  }

  close(): void {
    this.#waiting = null
    this.#socket.destroy()
  }

  #end(status: number, answer: string): void {
    const answered = this.#waiting
    this.#waiting = null
    answered?.(status, answer)
  }

  #read(bytes: number): boolean {
    this.#text =
      this.#text === ''
        ? shared.toString('latin1', 0, bytes)
        : this.#text + shared.toString('latin1', 0, bytes)
    if (this.#length < 0) {
      const headEnd = this.#text.indexOf('\r\n\r\n')
      if (headEnd < 0) return true
      const field = this.#text.indexOf('content-length: ')
      const length = field < 0 || field > headEnd ? 0 : parseInt(this.#text.slice(field + 16, field + 28), 10)
      this.#length = headEnd + 4 + length
    }
    if (this.#text.length < this.#length) return true
    const text = this.#text
    this.#text = ''
    this.#length = -1
    this.#end(
      (text.charCodeAt(9) - 48) * 100 + (text.charCodeAt(10) - 48) * 10 + text.charCodeAt(11) - 48,
      text
    )
    return true
  }
}

interface Dialect {
  enqueue(
    count: number,
    body: string,
    options?: { priority?: number; delaySeconds?: number | undefined; idempotencyKey?: string }
  ): string
  lease(max: number, ack: string[], options?: { waitSeconds?: number; idempotencyKey?: string }): string
  ack(receipts: string[]): string
  fail(receipts: string[]): string
  receipts: RegExp
}

function post(path: string, body: string, headers = 'content-type: application/json\r\n'): string {
  return (
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${headers}content-length: ` +
    `${Buffer.byteLength(body)}\r\n\r\n${body}`
  )
}

const dialects: Record<Load['dialect'], (queue: string) => Dialect> = {
  rest: queue => ({
    enqueue(count, body, options = {}) {
      const message = `{"body":${body}${JSON.stringify(options)
        .slice(1, -1)
        .replace(/^(?=.)/, ',')}}`
      return post(
        `/queues/${queue}/messages`,
        count === 1 ? message : `{"messages":[${Array(count).fill(message).join(',')}]}`
      )
    },
    lease: (max, ack, options = {}) =>
      post(
        `/queues/${queue}/lease`,
        `{"max":${max}${JSON.stringify(options)
          .slice(1, -1)
          .replace(/^(?=.)/, ',')}${ack.length === 0 ? '' : `,"ack":["${ack.join('","')}"]`}}`
      ),
    ack: receipts =>
      post(
        `/queues/${queue}/ack`,
        receipts.length === 1 ? `{"receipt":"${receipts[0]}"}` : `{"receipts":["${receipts.join('","')}"]}`
      ),
    fail: receipts =>
      post(
        `/queues/${queue}/fail`,
        `{"failures":[${receipts.map(receipt => `{"receipt":"${receipt}","delaySeconds":0}`).join(',')}]}`
      ),
    receipts: /"fence":|"receipt":"([^"]+)"/g
  }),
  sqs(queue) {
    const url = `http://sqs.us-east-1.localhost/000000000000/${queue}`
    const call = (action: string, body: object) =>
      post(
        '/',
        JSON.stringify({ QueueUrl: url, ...body }),
        `content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.${action}\r\n`
      )
    return {
      enqueue: (count, body) =>
        count === 1
          ? call('SendMessage', { MessageBody: body })
          : call('SendMessageBatch', {
              Entries: Array.from({ length: count }, (_, index) => ({ Id: `${index}`, MessageBody: body }))
            }),
      lease: max => call('ReceiveMessage', { MaxNumberOfMessages: max }),
      ack: receipts =>
        receipts.length === 1
          ? call('DeleteMessage', { ReceiptHandle: receipts[0] })
          : call('DeleteMessageBatch', {
              Entries: receipts.map((receipt, index) => ({ Id: `${index}`, ReceiptHandle: receipt }))
            }),
      fail: () => {
        throw new Error('not measured')
      },
      receipts: /"ReceiptHandle":"([^"]+)"/g
    }
  }
}

/** A JSON object of so many bytes. */
function bodyOf(bytes: number): string {
  const body = { to: 'ada@example.org', subject: 'Welcome', attempt: 1, text: '' }
  return JSON.stringify({ ...body, text: 'x'.repeat(Math.max(0, bytes - JSON.stringify(body).length)) })
}

function run(load: Load): void {
  const dialect = dialects[load.dialect](load.queue)
  const result: LoadResult = {
    messages: 0,
    windowMs: 0,
    total: 0,
    errors: 0,
    error: null,
    empty: 0,
    p50Ms: 0,
    p99Ms: 0,
    cpuMs: 0
  }
  const latencies: number[] = []
  const connections: Connection[] = []
  let measuring = false
  let ending = false
  let busy = 0
  let startedAt = 0
  let cpu = process.cpuUsage()

  const done = (messages: number, stays = false) => {
    if (!stays) result.total += messages
    if (measuring) result.messages += messages
  }
  const failed = (status: number, answer: string) => {
    result.errors++
    result.error ??= `${status} ${answer.slice(0, 600)}`
  }
  const connect = (port: number) => {
    const connection = new Connection(port)
    connections.push(connection)
    return connection
  }
  /** One request of a caller; what follows runs unless the slice is over or the answer was an error. */
  const ask = (connection: Connection, request: string, next: (answer: string) => void, over: () => void) => {
    const sentAt = performance.now()
    connection.ask(request, (status, answer) => {
      if (measuring && load.step !== 'latency') latencies.push(performance.now() - sentAt)
      if (status >= 200 && status < 300) return next(answer)
      failed(status, answer)
      over()
    })
  }
  const receiptsIn = (answer: string) => {
    const receipts: string[] = []
    for (const match of answer.matchAll(dialect.receipts)) if (match[1] !== undefined) receipts.push(match[1])
    return receipts
  }
  /** A caller has ended: at the end of the slice, or early where there is nothing more to do. */
  const over = () => {
    if (--busy > 0) return
    if (ending) finish()
    else stop()
  }
  const body = bodyOf(load.bodyBytes)
  const request = dialect.enqueue(load.count, body, { delaySeconds: load.delaySeconds })
  const leaseRequest = dialect.lease(load.count, [])
  const prioritised = Array.from({ length: 10 }, (_, priority) =>
    dialect.enqueue(load.count, body, { priority })
  )

  let sent = 0
  let keys = 0
  const newKey = () => `${process.pid}-${++keys}`
  const again = () =>
    load.priorities === true
      ? prioritised[Math.floor(Math.random() * 10)]!
      : load.keyed === true
        ? dialect.enqueue(1, body, { idempotencyKey: newKey() })
        : request
  const enqueueing = (connection: Connection): void => {
    if (ending || (load.messagesMax !== undefined && sent >= load.messagesMax)) return over()
    sent += load.count
    ask(
      connection,
      again(),
      () => {
        done(load.count)
        enqueueing(connection)
      },
      over
    )
  }
  const consuming = (connection: Connection): void => {
    if (ending) return over()
    ask(
      connection,
      leaseRequest,
      answer => {
        const receipts = receiptsIn(answer)
        if (receipts.length === 0) {
          result.empty++
          return consuming(connection)
        }
        const fails = load.failShare !== undefined && Math.random() < load.failShare
        ask(
          connection,
          fails ? dialect.fail(receipts) : dialect.ack(receipts),
          () => {
            done(receipts.length, fails)
            consuming(connection)
          },
          over
        )
      },
      over
    )
  }
  const passing = (connection: Connection): void => {
    if (ending || sent >= load.messagesMax!) return over()
    sent += load.count
    ask(connection, request, () => taking(connection), over)
  }
  const taking = (connection: Connection): void =>
    ask(
      connection,
      leaseRequest,
      answer => {
        const receipts = receiptsIn(answer)
        if (receipts.length === 0) return taking(connection)
        ask(
          connection,
          dialect.ack(receipts),
          () => {
            done(receipts.length)
            passing(connection)
          },
          over
        )
      },
      over
    )
  const looping = (connection: Connection, held: string[]): void => {
    if (ending && held.length === 0) return over()
    ask(
      connection,
      ending
        ? dialect.ack(held)
        : dialect.lease(load.count, held, load.keyed === true ? { idempotencyKey: newKey() } : {}),
      answer => {
        done(held.length)
        if (ending) return over()
        const receipts = receiptsIn(answer.slice(0, answer.lastIndexOf(',"outcomes":')))
        if (receipts.length === 0) result.empty++
        looping(connection, receipts)
      },
      over
    )
  }
  let underway = 0 // enqueued and not yet acked
  const landed = (count: number) => {
    underway -= count
    if (ending && underway === 0) finish()
  }
  /** Waits for one message after the other; the body says when it was sent. */
  const awaiting = (connection: Connection): void => {
    ask(
      connection,
      dialect.lease(1, [], { waitSeconds: 20 }),
      answer => {
        const sent = /"sentMs":([\d.]+)/.exec(answer)
        if (sent === null) return awaiting(connection)
        if (measuring) {
          latencies.push(performance.now() - Number(sent[1]))
          result.messages++
        }
        ask(
          connection,
          dialect.ack(receiptsIn(answer)),
          () => {
            landed(1)
            awaiting(connection)
          },
          over
        )
      },
      over
    )
  }

  busy = load.callers
  for (let i = 0; i < load.callers; i++) {
    const connection = connect(load.step === 'latency' ? (load.consumersPort ?? load.port) : load.port)
    if (load.step === 'enqueue') enqueueing(connection)
    else if (load.step === 'consume') consuming(connection)
    else if (load.step === 'loop') looping(connection, [])
    else if (load.step === 'pass') passing(connection)
    else awaiting(connection)
  }
  let producer: NodeJS.Timeout | undefined
  if (load.step === 'latency') {
    const idle = Array.from({ length: load.callers }, () => connect(load.port))
    const startMs = performance.now()
    let sent = 0
    producer = setInterval(() => {
      while (sent < ((performance.now() - startMs) / 1000) * load.ratePerSecond!) {
        sent++
        const connection = idle.pop()
        if (connection === undefined) {
          failed(0, 'the producers cannot keep up')
          continue
        }
        underway++
        connection.ask(dialect.enqueue(1, `{"sentMs":${performance.now()}}`), (status, answer) => {
          idle.push(connection)
          if (status === 201) return
          failed(status, answer)
          landed(1)
        })
      }
    }, 1)
  }

  setTimeout(() => {
    if (ending) return
    measuring = true
    startedAt = performance.now()
    cpu = process.cpuUsage()
    tell({ event: 'window' })
  }, load.warmMs)
  setTimeout(stop, load.warmMs + load.runMs)

  /** The measured time is over: callers finish what they have begun. */
  function stop(): void {
    if (ending) return
    measuring = false
    ending = true
    const { user, system } = process.cpuUsage(cpu)
    result.cpuMs = (user + system) / 1000
    result.windowMs = performance.now() - startedAt
    clearInterval(producer)
    tell({ event: 'end' })
    if (busy === 0 || (load.step === 'latency' && underway === 0)) finish()
    // what is not acked by then, the count in the database will show
    else if (load.step === 'latency') setTimeout(finish, 5000)
  }

  function finish(): void {
    for (const connection of connections) connection.close()
    latencies.sort((a, b) => a - b)
    const at = (share: number) =>
      latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))] ?? NaN
    result.p50Ms = at(0.5)
    result.p99Ms = at(0.99)
    tell({ event: 'result', result })
  }
}

function tell(event: LoadEvent): void {
  process.send!(event)
}

process.on('message', run)
