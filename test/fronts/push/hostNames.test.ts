/** Host names of endpoints: found in the file of hosts and in DNS, by a real server of names. */
import { createSocket, type RemoteInfo } from 'node:dgram'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { HostNames } from '../../../src/fronts/push/hostNames.ts'

/** The record types of DNS. */
const types: Record<number, 'A' | 'AAAA'> = { 1: 'A', 28: 'AAAA' }

/** What the server says of a name: the bytes of its addresses; null: nothing, ever. */
type Zone = (name: string, type: 'A' | 'AAAA') => number[][] | null

/** A server of names on UDP. Answers where it is, and the names that it was asked for. */
async function serverOf(t: Test, zone: Zone): Promise<{ servers: string[]; asked: string[] }> {
  const socket = createSocket('udp4')
  const asked: string[] = []
  socket.on('message', (query: Buffer, from: RemoteInfo) => {
    const labels: string[] = []
    let at = 12
    for (; query[at]! > 0; at += query[at]! + 1) {
      labels.push(query.toString('latin1', at + 1, at + 1 + query[at]!))
    }
    const name = labels.join('.')
    asked.push(name)
    const type = query.readUInt16BE(at + 1)
    const found = zone(name, types[type]!)
    if (found === null) return
    const head = Buffer.alloc(12)
    query.copy(head, 0, 0, 2)
    head.writeUInt16BE(found.length > 0 ? 0x8180 : 0x8183, 2) // NXDOMAIN where there is nothing
    head.writeUInt16BE(1, 4)
    head.writeUInt16BE(found.length, 6)
    const records = found.map(bytes =>
      Buffer.from([0xc0, 12, type >> 8, type & 255, 0, 1, 0, 0, 0, 60, 0, bytes.length, ...bytes])
    )
    socket.send(Buffer.concat([head, query.subarray(12, at + 5), ...records]), from.port, from.address)
  })
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return { servers: [`127.0.0.1:${socket.address().port}`], asked }
}

async function namesWith(t: Test, zone: Zone, { hosts = '', resolver = '' } = {}) {
  const [hostsFile, resolverFile] = ['hosts', 'resolv.conf'].map(name => join(t.testdir(), name)) as [
    string,
    string
  ]
  await writeFile(hostsFile, hosts)
  await writeFile(resolverFile, resolver)
  const { servers, asked } = await serverOf(t, zone)
  return { names: new HostNames({ hostsFile, resolverFile, servers }), asked }
}

t.test('names that no server resolves hold up no other name, and end in time', async t => {
  const { names } = await namesWith(t, (name, type) => {
    if (name.startsWith('silent')) return null
    return type === 'A' ? [[93, 184, 216, 34]] : []
  })
  const startedMs = performance.now()
  const silent = Array.from({ length: 100 }, (_, i) => names.find(`silent-${i}.test`).catch(error => error))
  t.strictSame(await names.find('sound.test'), [{ address: '93.184.216.34', family: 4 }])
  t.ok(performance.now() - startedMs < 1000, 'at once')
  t.ok((await Promise.all(silent)).every(({ code }) => code === 'EAI_AGAIN'))
  t.ok(performance.now() - startedMs < 10_000, `after ${Math.round(performance.now() - startedMs)} ms`)
})

t.test('a name is found in the file of hosts first, and else with its addresses of both kinds', async t => {
  const zone: Zone = (name, type) => {
    if (name !== 'both.test') return []
    return type === 'A' ? [[192, 0, 2, 1]] : [[0x20, 1, 0xd, 0xb8, ...Array<number>(11).fill(0), 1]]
  }
  const hosts = '# both.test\n10.0.0.7\tListed.test other # listed.test\n::1 listed.test\nno.test\n'
  const { names, asked } = await namesWith(t, zone, { hosts })
  t.strictSame(await names.find('listed.TEST.'), [
    { address: '10.0.0.7', family: 4 },
    { address: '::1', family: 6 }
  ])
  t.strictSame(asked, [])
  t.strictSame(await names.find('both.test'), [
    { address: '192.0.2.1', family: 4 },
    { address: '2001:db8::1', family: 6 }
  ])
  await t.rejects(names.find('no.test'), { code: 'ENOTFOUND' })
})

t.test('a name is looked up below the search domains, unless it ends in a dot', async t => {
  const zone: Zone = (name, type) => (name === 'hooks.b.test' && type === 'A' ? [[10, 0, 0, 8]] : [])
  const resolver = 'search old.test\nnameserver 192.0.2.53\nsearch  a.test b.test \noptions ndots:5\n'
  const { names, asked } = await namesWith(t, zone, { resolver })
  t.strictSame(await names.find('hooks'), [{ address: '10.0.0.8', family: 4 }])
  t.strictSame([...new Set(asked)], ['hooks', 'hooks.a.test', 'hooks.b.test'])
  await t.rejects(names.find('hooks.'), { code: 'ENOTFOUND' })
})
