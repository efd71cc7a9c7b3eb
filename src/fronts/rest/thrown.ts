/** What a handler, Fastify or the database has thrown, as the refusal that the caller gets. */
import type { ErrorObject } from 'ajv'
import type { FastifyError, FastifyRequest } from 'fastify'
import { invalidRequest, QueueError } from '../../core/errors.ts'
import { messageBytesMax } from '../../core/limits.ts'
import { faultOf, withoutNulls } from './faults.ts'

/** The refusal of a request. A bug becomes `internal`. */
export function refusalOf(thrown: unknown, request: FastifyRequest): QueueError {
  const isRead = request.method === 'GET'
  if (thrown instanceof QueueError) {
    return thrown.code === 'outcomeUnknown' && isRead ? lostRead(thrown) : thrown
  }
  const error = thrown as FastifyError
  if (error.validation !== undefined) return misfit(error)
  const refusal = refusals[error.code]
  if (refusal !== undefined) return refusal()
  if (error.statusCode !== undefined && error.statusCode < 500) return malformedRequest()
  return new QueueError(
    'internal',
    'Something unexpected went wrong; the log of the service says what. The change may or may not have ' +
      'been made.',
    { outcome: isRead ? 'none' : 'unknown', cause: thrown }
  )
}

/** What Fastify throws before a handler is asked, by its codes. */
const refusals: Partial<Record<string, () => QueueError>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: () =>
    new QueueError(
      'requestTooLarge',
      'The request is larger than this service takes; nothing was changed. Send fewer messages in one ' +
        `request. A body has at most ${messageBytesMax} bytes, and HOLDFAST_REQUEST_BYTES_MAX bounds all.`
    ),
  FST_ERR_CTP_INVALID_MEDIA_TYPE: onlyJson,
  FST_ERR_BAD_URL: malformedAddress
}

/** A lost answer to a GET leaves nothing unknown. */
function lostRead(cause: QueueError): QueueError {
  return new QueueError(
    'databaseUnavailable',
    'The database was lost before it answered. Send the request again.',
    { cause }
  )
}

function misfit({ validation = [], validationContext }: FastifyError): QueueError {
  // These only repeat the error of the name itself, or those of the alternatives.
  const faults = validation
    .filter(({ keyword }) => keyword !== 'propertyNames' && keyword !== 'anyOf')
    .map(fault => faultOf(fault as ErrorObject, validationContext))
  const told = withoutNulls(faults)
  const [first] = told
  return invalidRequest(first!.pointer, first!.message, told)
}

/** Refuses a request of which not even the head can be read. */
export function malformedRequest(): QueueError {
  return new QueueError(
    'malformedRequest',
    'The request cannot be read: its address, its length or a header field is not well-formed.'
  )
}

/** Refuses a body that is no JSON, where there is no other. */
export function onlyJson(): QueueError {
  return new QueueError(
    'unsupportedMediaType',
    'This route takes application/json in UTF-8, without a content encoding; nothing was changed. ' +
      "curl -d sends a form unless it is told otherwise: add -H 'content-type: application/json'."
  )
}

/** Refuses an address with a % that begins no escape. */
export function malformedAddress(): QueueError {
  return new QueueError(
    'malformedRequest',
    'The address is not well-formed: each % must begin an escape of UTF-8, such as %20. Write a % itself ' +
      'as %25. Nothing was changed.'
  )
}
