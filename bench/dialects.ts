/** The requests of the load generator, as text: for Holdfast's REST API and for SQS. */

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
  /** Finds the receipts in an answer. The first group of a match, if it has one, is a receipt. */
  receipts: RegExp
}

export type DialectName = 'rest' | 'sqs'

export const dialects: Record<DialectName, (queue: string) => Dialect> = { rest, sqs }

function post(path: string, body: string, headers = 'content-type: application/json\r\n'): string {
  return (
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\n${headers}` +
    `content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`
  )
}

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
    receipts: /"fence":|"receipt":"([^"]+)"/g
  }
}

function sqs(queue: string): Dialect {
  const QueueUrl = `http://sqs.us-east-1.localhost/000000000000/${queue}`
  const call = (action: string, body: object) =>
    post(
      '/',
      JSON.stringify({ QueueUrl, ...body }),
      `content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.${action}\r\n`
    )
  return {
    enqueue(count, MessageBody) {
      if (count === 1) return call('SendMessage', { MessageBody })
      const Entries = Array.from({ length: count }, (_, index) => ({ Id: `${index}`, MessageBody }))
      return call('SendMessageBatch', { Entries })
    },
    publish() {
      throw new Error('not measured')
    },
    lease: max => call('ReceiveMessage', { MaxNumberOfMessages: max }),
    ack(receipts) {
      if (receipts.length === 1) return call('DeleteMessage', { ReceiptHandle: receipts[0] })
      const Entries = receipts.map((ReceiptHandle, index) => ({ Id: `${index}`, ReceiptHandle }))
      return call('DeleteMessageBatch', { Entries })
    },
    ackThen() {
      throw new Error('not measured')
    },
    fail() {
      throw new Error('not measured')
    },
    receipts: /"ReceiptHandle":"([^"]+)"/g
  }
}
