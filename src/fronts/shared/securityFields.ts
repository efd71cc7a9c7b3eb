/**
 * The security fields of every answer of every front. An answer that sets none gets those for data:
 * a browser then neither runs, frames nor embeds it.
 */
import { ServerResponse, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'

const policyName = 'content-security-policy'

// Few and short, because every enqueue, lease and ack pays for them.
const dataFields = {
  [policyName]: "default-src 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'cross-origin-resource-policy': 'same-origin'
}

/** The same as lines, for an answer that is written on the socket itself. */
export const dataFieldLines = Object.entries(dataFields)
  .map(([name, value]) => `${name}: ${value}\r\n`)
  .join('')

/** For a message's own bytes, which a stranger wrote: no browser may show or run them. */
export const strangersBytesFields = {
  [policyName]: "sandbox; default-src 'none'; frame-ancestors 'none'",
  'content-disposition': 'attachment'
}

const pageFields = {
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'x-frame-options': 'DENY' // for browsers that do not know frame-ancestors
}

/** A policy that every page has, with what this page needs beside. */
const pagePolicy = (...needs: string[]) =>
  [
    "default-src 'none'",
    "script-src 'self'",
    "connect-src 'self'",
    "form-action 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    ...needs
  ].join('; ')

export const consoleFields = {
  ...pageFields,
  [policyName]: pagePolicy(
    "style-src 'self'",
    "img-src 'self'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'"
  )
}

/** Swagger UI writes style elements, and shows its pictures as data. */
export const swaggerUiFields = {
  ...pageFields,
  [policyName]: pagePolicy("style-src 'self' 'unsafe-inline'", "img-src 'self' data:")
}

/** An answer of the HTTP server. Whoever writes it (a front, Fastify or Node.js), it has the fields. */
export class SafeResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  override writeHead(status: number, reason?: unknown, headers?: unknown): this {
    const given = headers ?? reason
    if (given instanceof Object && !Array.isArray(given)) addTo(given as OutgoingHttpHeaders)
    else this.#addAsSet()
    return headers === undefined
      ? super.writeHead(status, reason as OutgoingHttpHeaders)
      : super.writeHead(status, reason as string, headers as OutgoingHttpHeaders)
  }

  // For an answer whose fields were set one by one, such as a stream.
  #addAsSet(): void {
    for (const [name, value] of Object.entries(dataFields)) {
      if (!this.hasHeader(name)) this.setHeader(name, value)
    }
  }
}

// Fastify writes the names of fields in small letters.
function addTo(headers: OutgoingHttpHeaders): void {
  headers[policyName] ??= dataFields[policyName]
  headers['x-content-type-options'] = dataFields['x-content-type-options']
  headers['cross-origin-resource-policy'] = dataFields['cross-origin-resource-policy']
}
