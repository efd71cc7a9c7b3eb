/** Where a push may not go: checked when it is set, after each resolution, and at each connection. */
import t from 'tap'
import { Addresses, isPublic } from '../../../src/fronts/push/addresses.ts'
import { Endpoints } from '../../../src/fronts/push/endpoint.ts'
import { endpoint } from '../../support/endpoint.ts'
import { service } from '../../support/service.ts'

const refusal = { code: 'HOLDFAST_ADDRESS_REFUSED' }

/** Host names that lead to these addresses. */
const names = (...addresses: string[]) => ({
  find: async () => addresses.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
})

const post = (url: string) => ({
  url: new URL(url),
  headers: { 'content-length': 2 },
  body: Buffer.from('hi'),
  timeoutSeconds: 5,
  signal: new AbortController().signal
})

t.test('which addresses are of the public internet', async t => {
  const refused = [
    ...['0.0.0.0', '0.1.2.3', '10.0.0.1', '100.64.0.1', '100.100.100.200', '127.0.0.1', '127.255.0.1'],
    ...['168.63.129.16', '169.254.169.254', '172.16.0.1', '172.31.255.255', '192.0.0.192', '192.0.2.1'],
    ...['192.88.99.1', '192.168.1.1', '198.18.0.1', '198.19.255.255', '198.51.100.1', '203.0.113.1'],
    ...['224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255'],
    ...[
      '::',
      '::1',
      '::ffff:8.8.8.8',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      '::127.0.0.1',
      '64:ff9b::8.8.8.8'
    ],
    ...['64:ff9b::a9fe:a9fe', '64:ff9b:1::1', '100::1', '2001::1', '2001:db8::1', '2002:7f00:1::', '3fff::1'],
    ...['fc00::1', 'fd00:ec2::254', 'fe80::1', 'fe80::1%eth0', 'fec0::1', 'ff02::1', '5f00::1', '', 'host']
  ]
  for (const address of refused) t.notOk(isPublic(address), address)
  const reached = ['1.1.1.1', '8.8.8.8', '100.63.255.255', '100.128.0.1', '172.15.0.1', '172.32.0.1']
  for (const address of [...reached, '223.255.255.255', '2606:4700::1111', '2a00:1450::1']) {
    t.ok(isPublic(address), address)
  }
})

t.test('a host is reached at its public addresses only', async t => {
  const mixed = new Addresses(false, names('10.0.0.1', '93.184.216.34', '::1'))
  t.strictSame(await mixed.find('host'), [{ address: '93.184.216.34', family: 4 }])
  await t.rejects(new Addresses(false, names('10.0.0.1', '::1')).find('host'), refusal)
  await t.rejects(new Addresses(false).find('localhost'), refusal)
  t.ok((await new Addresses(true).find('localhost')).length > 0)
})

t.test('no request leaves for an address that is not public, whatever names it', async t => {
  const hook = await endpoint(t)
  const endpoints = new Endpoints(new Addresses(false))
  t.teardown(() => endpoints.close())
  const hosts = ['127.0.0.1', 'localhost', '127.1', '2130706433', '0x7f.1', '0.0.0.0', '[::1]', '[::]']
  for (const host of [...hosts, '[::ffff:127.0.0.1]']) {
    const answer = await endpoints.post(post(`http://${host}:${hook.port}/`))
    t.match(answer, { status: null, unreached: true, reason: /not on the public internet/ }, host)
  }
  t.equal(hook.received.length, 0)
})

t.test('a name that leads elsewhere later is checked again, and nobody resolves it twice', async t => {
  const hook = await endpoint(t)
  let asked = 0
  const rebinding = new Addresses(false, {
    find: () => names(asked++ === 0 ? '93.184.216.34' : '127.0.0.1').find()
  })
  t.equal((await rebinding.find('rebound.test')).length, 1)
  const second = new Addresses(false, names('127.0.0.1'))
  const endpoints = new Endpoints(second)
  t.teardown(() => endpoints.close())
  t.match(await endpoints.post(post(`http://rebound.test:${hook.port}/`)), { status: null, unreached: true })
  t.equal(asked, 1)
  // With the look-up passed by, the connection itself is checked.
  const careless = new Addresses(false)
  Object.assign(careless, {
    lookup: (_host: string, options: { all?: boolean }, done: any) =>
      options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)
  })
  const checked = new Endpoints(careless)
  t.teardown(() => checked.close())
  t.match(await checked.post(post(`http://any.test:${hook.port}/`)), { status: null, unreached: true })
  t.equal(hook.received.length, 0)
})

t.test('a push to an address that is not public is refused, and so is its delivery', async t => {
  const hook = await endpoint(t)
  const open = await service(t, { env: { HOLDFAST_PUSH_PRIVATE: 'on' } })
  await open.call('PUT', '/queues/q/push', { url: hook.url })
  await open.stop()
  const holdfast = await service(t, { database: { url: open.databaseUrl } })
  for (const url of [
    hook.url,
    `http://localhost:${hook.port}/`,
    'http://169.254.169.254/latest/meta-data/'
  ]) {
    const { status, body } = await holdfast.call('PUT', '/queues/other/push', { url })
    t.match({ status, body }, { status: 400, body: { errors: [{ pointer: '/url' }] } }, url)
  }
  t.equal((await holdfast.get('/queues/other')).status, 404)
  const { id } = (await holdfast.post('/queues/q/messages', { body: 1 })).body
  let message
  do message = (await holdfast.get(`/queues/q/messages/${id}`)).body
  while (message.lastFailure === undefined)
  t.match(message.lastFailure.reason, /not on the public internet/)
  t.match((await holdfast.post('/queues/q/push/test')).body, { delivered: false, status: null })
  t.equal(hook.received.length, 0)
})
