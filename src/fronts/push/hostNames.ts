/**
 * Host names to addresses, without a thread for each. Node's own look-up has two threads for a whole
 * process, its connections to the database included. A server that does not answer keeps one of them
 * for many seconds, so a few such names would stop everybody.
 */
import type { LookupAddress } from 'node:dns'
import { Resolver } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'

/** A server of names that does not answer is asked once more. */
const bounds = { timeout: 1000, maxTimeout: 1000, tries: 2 }
/** After this time no further search domain is tried. */
const searchMsMax = 3000
/** The system's servers may change. They are read again after this time. */
const serversMs = 30_000

/** The codes of answers that name no address. After any other, nobody knows. */
const noAddress = ['ENOTFOUND', 'ENODATA', 'EBADNAME']

/** No address was found: there is none, or no server has said so. */
class NoAddress extends Error {
  readonly code: 'ENOTFOUND' | 'EAI_AGAIN'

  constructor(isKnown: boolean) {
    super('The host name has no address')
    this.code = isKnown ? 'ENOTFOUND' : 'EAI_AGAIN'
  }
}

interface Sources {
  hostsFile: string
  resolverFile: string
  /** Servers of names: address, or address:port. Without them, those of the system. */
  servers?: string[]
}

export class HostNames {
  readonly #sources: Sources
  #resolver!: Resolver
  #readMs = -Infinity

  constructor(sources: Sources = { hostsFile: '/etc/hosts', resolverFile: '/etc/resolv.conf' }) {
    this.#sources = sources
  }

  /**
   * The addresses of a host, from the file of hosts, or else from DNS, also below the search domains of
   * the system. Throws an error with the code ENOTFOUND or EAI_AGAIN where there is none.
   */
  async find(hostname: string): Promise<LookupAddress[]> {
    const { hostsFile, resolverFile } = this.#sources
    const listed = hostsIn(await textOf(hostsFile), hostname)
    if (listed.length > 0) return listed
    const searched = hostname.endsWith('.') ? [] : searchDomainsIn(await textOf(resolverFile))
    const untilMs = performance.now() + searchMsMax
    let isKnown = true
    for (const name of [hostname, ...searched.map(domain => `${hostname}.${domain}`)]) {
      const answer = await this.#ask(name)
      if (answer.addresses.length > 0) return answer.addresses
      isKnown &&= answer.isKnown
      if (performance.now() > untilMs) break
    }
    throw new NoAddress(isKnown)
  }

  /** What DNS has for exactly this name. Where it has nothing, `isKnown` says that there is nothing. */
  async #ask(name: string): Promise<{ addresses: LookupAddress[]; isKnown: boolean }> {
    const resolver = this.#current()
    const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)])
    const found = answers.flatMap(answer => (answer.status === 'fulfilled' ? answer.value : []))
    const isKnown = answers.every(
      answer => answer.status === 'fulfilled' || noAddress.includes(answer.reason.code)
    )
    return { addresses: found.map(asAddress), isKnown }
  }

  #current(): Resolver {
    if (performance.now() > this.#readMs + serversMs) {
      this.#resolver = new Resolver(bounds)
      if (this.#sources.servers !== undefined) this.#resolver.setServers(this.#sources.servers)
      this.#readMs = performance.now()
    }
    return this.#resolver
  }
}

const asAddress = (address: string): LookupAddress => ({ address, family: isIP(address) })

const textOf = (file: string) => readFile(file, 'utf8').catch(() => '')

/** What a file of hosts says of a name. */
function hostsIn(text: string, hostname: string): LookupAddress[] {
  const name = hostname.toLowerCase().replace(/\.$/, '')
  return text.split('\n').flatMap(line => {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/)
    return isIP(address) > 0 && names.some(each => each.toLowerCase() === name) ? [asAddress(address)] : []
  })
}

/** The last line counts, as it does for the system. */
function searchDomainsIn(text: string): string[] {
  const lines = text.split('\n').map(line => line.trim().split(/\s+/))
  return lines.findLast(([word]) => word === 'search' || word === 'domain')?.slice(1) ?? []
}
