/** The service under attack, in a process of its own, and a way to send it exactly these bytes. */
import net from 'node:net'
import pg from 'pg'
import t from 'tap'
import { freshDatabase } from '../../../support/postgres.ts'
import { serviceProcess } from '../../../support/service.ts'

export const requestSecondsMax = 2
/** Sent with every case, and never to be seen in an answer or the log. */
export const secret = 'hk_0123456789abcdefSECRET'

const database = await freshDatabase(t)
export const holdfast = await serviceProcess(t, {
  HOLDFAST_DATABASE_URL: database.url,
  HOLDFAST_REQUEST_BYTES_MAX: '3000000',
  HOLDFAST_LOG_LEVEL: 'trace',
  HOLDFAST_REQUEST_SECONDS_MAX: `${requestSecondsMax}`,
  HOLDFAST_SILENT_SECONDS_MAX: '5'
})
export const port = Number(new URL(holdfast.url).port)
export const sql = new pg.Client(database.url)
await sql.connect()
t.teardown(() => sql.end())

await holdfast.call('PUT', '/queues/q')
await holdfast.call('PUT', '/queues/other')
await holdfast.call('PUT', '/queues/large')
for (let i = 0; i < 8; i++) {
  await holdfast.post('/queues/large/messages', Buffer.alloc(1_000_000), { 'content-type': 'text/plain' })
}

const lease = async (): Promise<string> =>
  (await holdfast.post('/queues/other/lease', { leaseSeconds: 43_200 })).body.messages[0].receipt
await holdfast.post('/queues/other/messages', { body: 1 })
/** Receipts of one message of the queue `other`: one that was superseded, and the current one. */
export const staleReceipt = await lease()
await holdfast.post('/queues/other/release', { receipt: staleReceipt })
export const receipt = await lease()

/** A good request. It stores one message, and may be sent again and again. */
export const good = () => holdfast.post('/queues/other/messages', { body: 'good', idempotencyKey: 'good' })
export const goodId: string = (await good()).body.id

/** A connection, and all that was answered on it until its end. */
export function open(): { socket: net.Socket; answer: Promise<string> } {
  const socket = net.connect(port, '127.0.0.1')
  const answer = new Promise<string>(resolve => {
    const chunks: Buffer[] = []
    socket.on('data', chunk => chunks.push(chunk))
    socket.on('error', () => {}) // a connection that was cut off has its answer all the same
    socket.on('close', () => resolve(Buffer.concat(chunks).toString()))
  })
  return { socket, answer }
}

/** Sends these bytes on a new connection, and returns the answer. */
export function send(bytes: string | Buffer): Promise<string> {
  const { socket, answer } = open()
  socket.write(bytes)
  return answer
}

/** A metric of the service without labels. */
export async function gauge(name: string): Promise<number> {
  const { text } = await holdfast.get('/metrics')
  return Number(new RegExp(`^holdfast_${name} (\\d+)$`, 'm').exec(text)![1])
}
