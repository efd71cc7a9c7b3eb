/** An operation of the contract: where it is, who may call it, what it takes and answers. */
import type { FastifyContextConfig, FastifyRequest, FastifySchema } from 'fastify'
import type { Code } from '../../../core/errors.ts'
import { problems } from '../problems.ts'

export interface Operation {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  url: string
  config: FastifyContextConfig
  preValidation?: (request: FastifyRequest) => Promise<void>
  schema: FastifySchema & { operationId?: string; summary: string; description: string }
}

/** A misplaced option must not be ignored: `POST …/purge?state=dead` would purge everything. */
const noQuery = { type: 'object', properties: {}, additionalProperties: false }

/** A table of operations. The name of an entry is the operation's id in the OpenAPI document. */
export function operations<const T extends Record<string, Operation>>(table: T): T {
  const entries = Object.entries(table).map(([operationId, operation]) => [
    operationId,
    {
      ...operation,
      schema: {
        operationId,
        // Probes and scrapers may add parameters of their own.
        ...(!['anyone', 'metrics'].includes(operation.config.access!) && { querystring: noQuery }),
        ...operation.schema
      }
    }
  ])
  return Object.fromEntries(entries) as T
}

/** For operations whose body may be left out. A JSON null is a body, and no object. */
export const bodyOptional = async (request: FastifyRequest): Promise<void> => {
  if (request.body === undefined) request.body = {}
}

/** An answer without a body. */
export const nothing = (description: string) => ({ type: 'null', description })

const reasons: Record<number, string> = {
  400: 'The request is malformed, or the schema refuses it.',
  401: 'The API key is missing, misspelt or revoked.',
  403: 'The key may not do this here.',
  404: 'There is nothing of this name, or the key has no right to it.',
  409: 'The present state does not allow the call. Nothing was changed.',
  413: 'The request or a message is too large.',
  415: 'The content type is not taken here.',
  422: 'The idempotency key stands for other content.',
  429: 'A bound, a share or a rate is used up. See `code` and Retry-After.',
  503: 'The database is away, or the service is overloaded or shutting down. See `outcome` and Retry-After.'
}

/** What every operation that may need a key can be refused with. Its key may have a rate. */
const always = [401, 403, 429, 503]

/**
 * The refusals an operation can answer with, and those that every operation can. A code is one that
 * only some operations are refused with. A status stands for its other codes.
 */
export function problemResponses(...refusals: (number | Code)[]): Record<number, object> {
  const codes = refusals.filter(refusal => typeof refusal === 'string')
  const statuses = refusals.map(refusal => (typeof refusal === 'string' ? problems[refusal].status : refusal))
  const content = { 'application/problem+json': { schema: { $ref: 'Problem#' } } }
  return Object.fromEntries(
    [...new Set([...statuses, ...always])].sort().map(status => {
      const own = codes.filter(code => problems[code].status === status)
      const named = own.length > 0 ? ` Codes of this call: ${own.map(code => `\`${code}\``).join(', ')}.` : ''
      return [status, { description: `${reasons[status]}${named}`, 'x-codes': own, content }]
    })
  )
}
