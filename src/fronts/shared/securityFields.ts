/**
 * The security fields of every answer of every front. An answer that sets none gets those for data:
 * a browser then neither runs, frames nor embeds it.
 */
import { ServerResponse, type IncomingMessage } from 'node:http'

const policyName = 'content-security-policy'

// Few and short, because every answer to an enqueue, lease or ack carries them. The policy is first.
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

/** For pages of our own, the console and the guide: they hold nothing inline. */
export const ownPageFields = {
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

const linesWithoutPolicy = dataFieldLines.slice(dataFieldLines.indexOf('\n') + 1)

/**
 * An answer of the HTTP server. Whoever writes it (a front, Fastify or Node.js), it has the fields.
 * Node.js has no way to give every answer the same fields. Its own `_storeHeader` takes lines, which
 * costs nothing that can be measured. Three more headers of an answer would cost 1.5 µs.
 */
export class SafeResponse<Request extends IncomingMessage = IncomingMessage> extends ServerResponse<Request> {
  _storeHeader(statusLine: string, headers: Record<string, unknown> | null | undefined): void {
    const lines = headers?.[policyName] === undefined ? dataFieldLines : linesWithoutPolicy
    // @ts-expect-error: not in the types of Node.js
    super._storeHeader(statusLine + lines, headers)
  }
}
