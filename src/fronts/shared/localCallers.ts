/**
 * Who is served while no key is needed: programs of this machine, and pages of this service. Lists
 * what is allowed, since what a browser, a proxy or a tunnel may send has no end.
 */
import type { Server } from 'node:http'
import { isIPv4, type AddressInfo } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { QueueError } from '../../core/errors.ts'

const makeKey = 'Make a key first: holdfast keys create ops --allow admin.'

/**
 * Returns a check that refuses with forbidden: requests to another name than this machine's (a
 * domain pointed here), requests through a proxy, and web pages of other sites. A probe may come
 * under any name, through any proxy.
 */
export function localCallers(server: Server): (request: FastifyRequest, isProbe: boolean) => void {
  let allowedHost: string | undefined // the last one, because most requests have the same
  let port = 0
  // While it closes, a server has no address any more.
  server.once('listening', () => ({ port } = server.address() as AddressInfo))
  const isAllowed = (host: string) => {
    if (host === allowedHost) return true
    if (!isLocalName(host, port)) return false
    allowedHost = host
    return true
  }
  return (request, isProbe) => {
    if (!isProbe) {
      const { host } = request.headers
      if (host === undefined || !isAllowed(host) || !isAddressOf(request.raw.url!, host)) throw wrongHost()
      if (cameThroughProxy(request.headers)) throw proxied()
    }
    if (isForeignPage(request)) throw foreignPage()
  }
}

/**
 * Whether a Host names this machine, as browsers write it: in small letters, with the port or
 * without one. The service binds to no other address while it needs no key.
 */
export function isLocalName(host: string, port: number): boolean {
  const end = `:${port}`
  const name = host.endsWith(end) ? host.slice(0, -end.length) : host
  return (
    name === '[::1]' || (isIPv4(name) && name.startsWith('127.')) || /^(?:[a-z0-9-]+\.)*localhost$/.test(name)
  )
}

// A request may carry its whole address. That counts for more than Host does.
const isAddressOf = (url: string, host: string) =>
  url.startsWith('/') || url === '*' || url.startsWith(`http://${host}/`)

function cameThroughProxy(headers: FastifyRequest['headers']): boolean {
  if (headers.forwarded !== undefined || headers.via !== undefined || headers['x-real-ip'] !== undefined) {
    return true
  }
  for (const name in headers) if (name.startsWith('x-forwarded')) return true
  return false
}

// Browsers that send no fetch metadata still send Origin with whatever could change something.
function isForeignPage({ method, headers }: FastifyRequest): boolean {
  const { origin, host, 'sec-fetch-site': site } = headers
  if (origin !== undefined && origin !== `http://${host}`) return true
  if (site === undefined || site === 'same-origin' || site === 'none') return false
  // A link from elsewhere may open a page of the service, but no page may frame or fetch it.
  return !(
    method === 'GET' &&
    headers['sec-fetch-mode'] === 'navigate' &&
    headers['sec-fetch-dest'] === 'document'
  )
}

const wrongHost = () =>
  new QueueError(
    'forbidden',
    'While there is no API key, the service answers only to the names of this machine: localhost, ' +
      'names that end in .localhost, 127.0.0.1 and [::1], with its own port or none. ' +
      `The Host of this request is not one of them. ${makeKey}`
  )

const proxied = () =>
  new QueueError(
    'forbidden',
    'This request came through a proxy or a tunnel: it has a field such as Forwarded, Via or ' +
      'X-Forwarded-For. While there is no API key, the service serves only programs of this machine. ' +
      makeKey
  )

const foreignPage = () =>
  new QueueError(
    'forbidden',
    'This request came from a web page of another site. While there is no API key, the service serves ' +
      `only programs of this machine and its own pages. ${makeKey}`
  )
