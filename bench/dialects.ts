/** The requests of the load generator, as text: for Holdfast's REST API and for SQS. */
import { createHmac, hash } from 'node:crypto'
import { canonicalRequest, signingKey } from '../src/fronts/sqs/signature.ts'

interface EnqueueOptions {
  priority?: number
  delaySeconds?: number | undefined
  idempotencyKey?: string
  unique?: { key: string; onConflict: 'keep' | 'replace' }
  /** Names the group of each message. */
  group?: () => string
}

interface LeaseOptions {
  waitSeconds?: number
  idempotencyKey?: string
}

export interface Dialect {
  /** One message to a topic. */
  publish(topic: string, body: string): string
  enqueue(count: number, body: string, options?: EnqueueOptions): string
  lease(max: number, ack: string[], options?: LeaseOptions): string
  ack(receipts: string[]): string
  /** Acks, and enqueues a message with this body in another queue. */
  ackThen(receipt: string, body: string): string
  fail(receipts: string[]): string
  /** Has the queue delivered to this URL, and ends that. */
  push(url: string): string
  endPush(): string
  /** Finds the receipts in an answer. The first group of a match, if it has one, is a receipt. */
  receipts: RegExp
}

export type DialectName = 'rest' | 'sqs'

/** What signs requests of SQS. */
export interface Credentials {
  keyId: string
  secret: string
}

export const dialects: Record<DialectName, (queue: string, credentials?: Credentials) => Dialect> = {
  rest,
  sqs
}

function request(
  method: string,
  path: string,
  body: string,
  headers = 'content-type: application/json\r\n'
): string {
  return (
    `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${headers}` +
    `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  )
}

const post = (path: string, body: string, headers?: string) => request('POST', path, body, headers)

/** Further fields of a JSON object: `,"priority":3`, or nothing. */
function fields(options: object): string {
  const text = JSON.stringify(options).slice(1, -1)
  return text === '' ? '' : `,${text}`
}

function rest(queue: string): Dialect {
  const path = `/queues/${queue}`
  return {
    enqueue(count, body, { group, ...options } = {}) {
      const message = () => `{"body":${body}${fields({ ...options, group: group?.() })}}`
      const messages = () =>
        group === undefined ? Array(count).fill(message()) : Array.from({ length: count }, message)
      return post(`${path}/messages`, count === 1 ? message() : `{"messages":[${messages().join(',')}]}`)
    },
    publish: (topic, body) => post(`/topics/${topic}/messages`, `{"routingKey":"a.b","body":${body}}`),
    lease(max, ack, options = {}) {
      const acks = ack.length === 0 ? '' : `,"ack":["${ack.join('","')}"]`
      return post(`${path}/lease`, `{"max":${max}${fields(options)}${acks}}`)
    },
    ack(receipts) {
      const [receipt] = receipts
      const single = receipts.length === 1
      return post(
        `${path}/ack`,
        single ? `{"receipt":"${receipt}"}` : `{"receipts":["${receipts.join('","')}"]}`
      )
    },
    ackThen: (receipt, body) =>
      post(`${path}/ack`, `{"receipt":"${receipt}","then":[{"queue":"${queue}-next","body":${body}}]}`),
    fail(receipts) {
      const failures = receipts.map(receipt => `{"receipt":"${receipt}","delaySeconds":0}`)
      return post(`${path}/fail`, `{"failures":[${failures.join(',')}]}`)
    },
    push: url => request('PUT', `${path}/push`, `{"url":"${url}","maxConcurrent":100}`),
    endPush: () => `DELETE ${path}/push HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n`,
    receipts: /"fence":|"receipt":"([^"]+)"/g
  }
}

function notMeasured(): never {
  throw new Error('This is not measured with SQS.')
}

function sqs(queue: string, credentials?: Credentials): Dialect {
  const QueueUrl = `http://sqs.us-east-1.localhost/000000000000/${queue}`
  const sign = credentials === undefined ? () => '' : signer(credentials)
  const call = (action: string, input: object) => {
    const body = JSON.stringify({ QueueUrl, ...input })
    const target = `AmazonSQS.${action}`
    const headers = `content-type: application/x-amz-json-1.0\r\nx-amz-target: ${target}\r\n`
    return post('/', body, headers + sign(target, body))
  }
  return {
    enqueue(count, MessageBody) {
      if (count === 1) return call('SendMessage', { MessageBody })
      const Entries = Array.from({ length: count }, (_, index) => ({ Id: `${index}`, MessageBody }))
      return call('SendMessageBatch', { Entries })
    },
    publish: notMeasured,
    lease: max => call('ReceiveMessage', { MaxNumberOfMessages: max }),
    ack(receipts) {
      if (receipts.length === 1) return call('DeleteMessage', { ReceiptHandle: receipts[0] })
      const Entries = receipts.map((ReceiptHandle, index) => ({ Id: `${index}`, ReceiptHandle }))
      return call('DeleteMessageBatch', { Entries })
    },
    ackThen: notMeasured,
    fail: notMeasured,
    push: notMeasured,
    endPush: notMeasured,
    receipts: /"ReceiptHandle":"([^"]+)"/g
  }
}

/** Makes the fields that sign a request. A request that is sent again keeps them, for fifteen minutes. */
function signer({ keyId, secret }: Credentials): (target: string, body: string) => string {
  const region = 'us-east-1'
  const started = new Date().toISOString().replace(/[-:]|\.\d+/g, '')
  const date = started.slice(0, 8)
  const scope = `${date}/${region}/sqs/aws4_request`
  const key = signingKey(secret, scope)
  const names = ['host', 'x-amz-date', 'x-amz-target']
  return (target, body) => {
    const headers = { host: '127.0.0.1', 'x-amz-date': started, 'x-amz-target': target }
    const request = { method: 'POST', url: '/', headers, body: Buffer.alloc(0) }
    const canonical = canonicalRequest(request, names, hash('sha256', body, 'hex'))
    const text = ['AWS4-HMAC-SHA256', started, scope, hash('sha256', canonical, 'hex')].join('\n')
    const signature = createHmac('sha256', key).update(text).digest('hex')
    const credential = `Credential=${keyId}/${scope}, SignedHeaders=${names.join(';')}`
    return (
      `x-amz-date: ${started}\r\n` +
      `authorization: AWS4-HMAC-SHA256 ${credential}, Signature=${signature}\r\n`
    )
  }
}
