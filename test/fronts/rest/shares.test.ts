/** Fair shares of bytes among keys: one key fills its share, and the others are served. */
import net from 'node:net'
import t, { type Test } from 'tap'
import { clientWith, guarded } from '../../support/apiKeys.ts'
import { pollPause } from '../../support/pollPause.ts'
import type { Client } from '../../support/service.ts'

// This allows 2 MiB of requests, and 2 MiB of answers.
const { holdfast, admin } = await guarded(t, { HOLDFAST_WAITING_BYTES_MAX: `${1024 * 1024}` })
const rightsOn = (prefix: string) =>
  ['enqueue', 'lease', 'browse', 'manage'].map(action => `${action}:${prefix}-*`)
const [greedy, other] = await Promise.all(
  ['a', 'b'].map(prefix => clientWith(holdfast, admin, rightsOn(prefix)))
)
type Keyed = NonNullable<typeof greedy>

const store = (client: Client, queue: string, bytes: number) =>
  client.post(`/queues/${queue}/messages`, 'x'.repeat(bytes), { 'content-type': 'text/plain' })

const headOf = ({ secret }: Keyed, line: string, fields: string[]) =>
  [`${line} HTTP/1.1`, 'host: localhost', `authorization: Bearer ${secret}`, ...fields, '', ''].join('\r\n')

/** A connection on which these bytes are sent with a key, and nothing is read. */
function open(t: Test, key: Keyed, line: string, fields: string[], body = ''): net.Socket {
  const socket = net.connect(Number(new URL(holdfast.url).port), '127.0.0.1').pause()
  socket.on('error', () => {})
  t.teardown(() => socket.destroy())
  socket.write(headOf(key, line, fields) + body)
  return socket
}

async function heldBy({ id }: Keyed, bound: string): Promise<number> {
  const line = new RegExp(`^holdfast_bound_held_by\\{bound="${bound}",caller="${id}"\\} (\\d+)$`, 'm')
  return Number(line.exec((await admin.get('/metrics')).text)?.[1] ?? 0)
}

const browseLarge = 'GET /queues/a-large/messages'

const refused = (what: string) => ({
  status: 429,
  body: { code: 'shareUsedUp', detail: new RegExp(`share of the 2097152 ${what}`) }
})

t.test('a key whose requests fill its share stops neither another key nor an admin', async t => {
  const fields = ['content-type: text/plain', 'content-length: 1000000']
  const arriving = open(t, greedy!, 'POST /queues/a-1/messages', fields, 'x'.repeat(999_000))
  while ((await heldBy(greedy!, 'request_bytes')) < 999_000) await pollPause()
  t.match(await store(greedy!, 'a-1', 300_000), refused('bytes of requests on their way in'))
  t.match(await store(other!, 'b-1', 300_000), { status: 201 }, 'the other key')
  t.match(await store(admin, 'ops', 300_000), { status: 201 }, 'an admin')
  arriving.destroy()
  while ((await store(greedy!, 'a-1', 300_000)).status !== 201) await pollPause()
})

t.test('a key that does not read its answers stops neither another key nor an admin', async t => {
  // Small beside the share: pages that are under way when it is filled come on top of it.
  for (const [client, queue] of [
    [greedy!, 'a-large'],
    [other!, 'b-large'],
    [admin, 'large']
  ] as const) {
    t.equal((await store(client, queue, 200_000)).status, 201)
  }
  const readers = Array.from({ length: 4 }, () => open(t, greedy!, browseLarge, []))
  let answer = await greedy!.get('/queues/a-large/messages')
  // The first answers fit into buffers of the system.
  for (let round = 0; answer.status === 200 && round < 200; round++) {
    for (const reader of readers) reader.write(headOf(greedy!, browseLarge, []))
    answer = await greedy!.get('/queues/a-large/messages')
  }
  t.match(answer, refused('bytes of answers'))
  t.match(await other!.get('/queues/b-large/messages'), { status: 200 }, 'the other key browses')
  t.match(await other!.post('/queues/b-large/lease'), { status: 200 }, 'and leases')
  t.match(await admin.get('/queues/large/messages'), { status: 200 }, 'an admin')
  for (const reader of readers) reader.destroy()
  while ((await greedy!.get('/queues/a-large/messages')).status !== 200) await pollPause()
})
