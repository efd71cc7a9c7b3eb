/** Connections that come faster than the service takes them. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import net from 'node:net'
import t from 'tap'
import { freshDatabase } from '../../../support/postgres.ts'
import { serviceProcess } from '../../../support/service.ts'

const connections = 1000
const body = JSON.stringify({ body: 'x'.repeat(100_000) })
const request =
  'POST /queues/arrivals/messages HTTP/1.1\r\n' +
  'host: localhost\r\n' +
  'content-type: application/json\r\n' +
  `content-length: ${body.length}\r\n\r\n${body}`
const somaxconn = await readFile('/proc/sys/net/core/somaxconn', 'utf8').catch(() => '0')
const skip = Number(somaxconn) < connections && 'the system lets fewer connections wait'

// Where too few may wait, Linux keeps nothing of the others but a cookie. It resets a connection whose
// second packet comes before its first, and large bodies have many packets.
t.test('of a thousand connections that come in one long turn, none is reset', { skip }, async t => {
  const database = await freshDatabase(t)
  const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: database.url })
  await holdfast.call('PUT', '/queues/arrivals')
  const port = Number(new URL(holdfast.url).port)

  holdfast.child.kill('SIGSTOP')
  const sockets = Array.from({ length: connections }, () => {
    const socket = net.connect({ port, host: '127.0.0.1' })
    t.teardown(() => socket.destroy())
    socket.write(request)
    return socket
  })
  const answers = sockets.map(socket =>
    once(socket, 'data').then(
      ([head]) => Number(String(head).slice(9, 12)),
      error => String(error)
    )
  )
  const late = AbortSignal.timeout(10_000)
  await Promise.all(sockets.map(socket => once(socket, 'connect', { signal: late }))).catch(() => {
    t.fail('the system takes them all while the service is busy')
  })
  holdfast.child.kill('SIGCONT')
  const unlike = (await Promise.all(answers)).filter(answer => ![201, 429, 503].includes(answer as number))
  t.strictSame(unlike, [], 'each is answered')
})
