/** Where a server takes connections, and how they end. */
import dns from 'node:dns/promises'
import { once } from 'node:events'
import { syncBuiltinESMExports } from 'node:module'
import net from 'node:net'
import { mock } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import { thisMachine } from '../../../src/core/caller.ts'
import { Share } from '../../../src/core/engine/share.ts'
import { listen, shareConnections } from '../../../src/fronts/shared/listening.ts'

/** Two addresses of this machine, and one of documentation that no machine has. */
const own = ['127.0.0.1', '127.0.0.2']
const addresses = [...own, '192.0.2.1']
const place = { host: 'localhost', port: 0, backlog: 1000 }

t.before(() => {
  mock.method(dns, 'lookup', async () => addresses.map(address => ({ address, family: 4 })))
  syncBuiltinESMExports()
})
t.after(() => {
  mock.restoreAll()
  syncBuiltinESMExports()
})

async function serving(t: Test) {
  const app = Fastify()
  const share = new Share({ name: 'connections', what: 'connections', total: 40, code: 'overloaded' })
  shareConnections(app.server, () => thisMachine, share)
  app.get('/', async () => 'ok')
  const { stop } = await listen(app, place)
  t.teardown(stop)
  const { port } = app.server.address() as net.AddressInfo
  return { app, share, port, stop }
}

t.test('localhost is served on each of its addresses, and all connections have one bound', async t => {
  const { share, port } = await serving(t)
  const sockets = Array.from({ length: 60 }, (_, i) => net.connect(port, own[i % 2]!))
  t.teardown(() => sockets.forEach(socket => socket.destroy()))
  await Promise.all(sockets.map(socket => once(socket.resume(), 'connect')))
  while (sockets.filter(({ destroyed }) => destroyed).length < 20) await turn()
  t.equal(share.held, 40)
})

t.test('a stop ends the service on each address, after the answers', async t => {
  const { app, port, stop } = await serving(t)
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  const underway = new Set()
  app.server.removeAllListeners('request')
  app.server.on('request', async (request, response) => {
    underway.add(request)
    await released
    response.end('ok')
  })
  const headers = { connection: 'close' }
  const answers = own.map(address => fetch(`http://${address}:${port}`, { headers }))
  while (underway.size < answers.length) await turn()
  const stopped = stop()
  t.equal(await Promise.race([stopped, turn('the stop waits')]), 'the stop waits')
  release()
  for (const answer of await Promise.all(answers)) t.equal(await answer.text(), 'ok')
  await stopped
  for (const address of own) {
    const [error] = await once(net.connect(port, address), 'error')
    t.equal(error.code, 'ECONNREFUSED')
  }
})

t.test('a port that is taken on one of the addresses is refused, and nothing stays open', async t => {
  for (const address of own) {
    const other = net.createServer().listen(0, address)
    t.teardown(() => other.close())
    await once(other, 'listening')
    const { port } = other.address() as net.AddressInfo
    const app = Fastify()
    await t.rejects(listen(app, { ...place, port }), { code: 'EADDRINUSE' })
    t.notOk(app.server.listening)
  }
})
