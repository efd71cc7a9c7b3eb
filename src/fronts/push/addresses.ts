/** Which addresses a push may reach, and how host names become addresses. */
import type { LookupAddress } from 'node:dns'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { HostNames } from './hostNames.ts'

/**
 * Addresses of IPv4 that are not of the public internet: the special-purpose registry of IANA
 * (RFC 6890 and later), and what clouds have made theirs.
 */
const refused4 = [
  '0.0.0.0/8', // this network; 0.0.0.0 reaches this machine
  '10.0.0.0/8', // private
  '100.64.0.0/10', // shared by a carrier's customers; metadata of Alibaba Cloud
  '127.0.0.0/8', // loopback
  '168.63.129.16/32', // the platform's own server in Azure
  '169.254.0.0/16', // link-local; metadata of most clouds
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments; metadata of Oracle Cloud
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // relays of 6to4
  '192.168.0.0/16', // private
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4' // reserved, and broadcast
]
/** Of IPv6 only this is public. Loopback, private, link-local, mapped and NAT64 addresses are outside. */
const public6 = '2000::/3'
/** What is not public inside it. */
const refused6 = [
  '2001::/23', // protocol assignments, Teredo among them
  '2001:db8::/32', // documentation
  '2002::/16', // 6to4, which carries an address of IPv4
  '3fff::/20' // documentation
]

const listOf = (type: 'ipv4' | 'ipv6', ranges: string[]): BlockList => {
  const list = new BlockList()
  for (const range of ranges) {
    const [address, prefix] = range.split('/')
    list.addSubnet(address!, Number(prefix), type)
  }
  return list
}
const list4 = listOf('ipv4', refused4)
const list6 = listOf('ipv6', refused6)
const listPublic6 = listOf('ipv6', [public6])

/** Whether an address, as text, is on the public internet. */
export function isPublic(address: string): boolean {
  const version = isIP(address)
  if (version === 4) return !list4.check(address, 'ipv4')
  if (version !== 6 || address.includes('%')) return false
  return listPublic6.check(address, 'ipv6') && !list6.check(address, 'ipv6')
}

/** The host name leads only to addresses that a push may not reach. */
export class AddressRefused extends Error {
  readonly code = 'HOLDFAST_ADDRESS_REFUSED'

  constructor() {
    super('The host is not on the public internet')
  }
}

/** So long an answer of the resolver is used again. Each use checks it anew. */
const rememberedMs = 5000
const rememberedMax = 10_000

/**
 * Resolves host names for connections. A connection goes to what was checked here: nobody resolves
 * the name again.
 */
export class Addresses {
  readonly #mayReach: (address: string) => boolean
  readonly #names: Pick<HostNames, 'find'>
  readonly #found = new Map<string, { untilMs: number; addresses: Promise<LookupAddress[]> }>()

  /** With `privateToo` every address may be reached. */
  constructor(privateToo: boolean, names: Pick<HostNames, 'find'> = new HostNames()) {
    this.#mayReach = privateToo ? () => true : isPublic
    this.#names = names
  }

  /** Whether a connection may go to this address. */
  mayReach(address: string): boolean {
    return this.#mayReach(address)
  }

  /** For sockets, in the place of the resolver. It is not asked about a host that is an address. */
  readonly lookup: LookupFunction = (hostname, options, done) => {
    this.find(hostname).then(
      addresses => {
        const wanted = options.family === 4 || options.family === 6 ? options.family : 0
        const [first, ...others] = addresses.filter(({ family }) => wanted === 0 || family === wanted)
        if (first === undefined) done(new AddressRefused(), '', 0)
        else if (options.all === true) done(null, [first, ...others])
        else done(null, first.address, first.family)
      },
      error => done(error, '', 0)
    )
  }

  /** The addresses of a host that may be reached. Throws AddressRefused where there is none. */
  async find(hostname: string): Promise<LookupAddress[]> {
    const version = isIP(hostname)
    const all = version > 0 ? [{ address: hostname, family: version }] : await this.#all(hostname)
    const allowed = all.filter(({ address }) => this.#mayReach(address))
    if (allowed.length === 0) throw new AddressRefused()
    return allowed
  }

  // Many queues may name one host.
  #all(hostname: string): Promise<LookupAddress[]> {
    const found = this.#found.get(hostname)
    if (found !== undefined && found.untilMs > performance.now()) return found.addresses
    const addresses = this.#names.find(hostname)
    if (this.#found.size >= rememberedMax) this.#found.clear()
    const entry = { untilMs: Infinity, addresses }
    this.#found.set(hostname, entry)
    addresses.then(
      () => {
        entry.untilMs = performance.now() + rememberedMs
      },
      () => this.#found.delete(hostname)
    )
    return addresses
  }
}
