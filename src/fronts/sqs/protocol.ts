/**
 * Both protocols of SQS: JSON, and the older one of forms and XML. A request is read to an operation
 * with its input, and an answer is written, in the protocol of the caller.
 */
import { isUtf8 } from 'node:buffer'
import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { brace, bracket, codeAt, comma, skipName } from '../../core/engine/json.ts'
import { requestValuesMax } from '../../core/limits.ts'
import type { Refusal, WriteOwnRefusal } from '../shared/refusals.ts'
import { SqsError, sqsErrorOf, tooLarge } from './errors.ts'
import { inputOf, readFields } from './form.ts'
import { checkedInput } from './input.ts'
import { operations } from './shapes.ts'
import type { OperationName } from './structures.ts'
import { errorXml, resultXml } from './xml.ts'

const targetPrefix = 'AmazonSQS.'
const jsonType = 'application/x-amz-json-1.0'
const requestIdField = 'x-amzn-requestid'

/** The head of a request. */
type Head = Pick<IncomingMessage, 'headers' | 'url'>

const hasType = ({ headers }: Head, type: string): boolean =>
  headers['content-type']?.toLowerCase().startsWith(type) === true

const isForm = (head: Head): boolean => hasType(head, 'application/x-www-form-urlencoded')

/** Perl's client names a target beside its form. */
export const isJson = (head: Head): boolean =>
  hasType(head, 'application/x-amz-json') || (head.headers['x-amz-target'] !== undefined && !isForm(head))

// Forms come to addresses of REST too, which refuses them by itself. An address may be a whole one.
const formAddress = /^(https?:\/\/[^/?]*)?(\/|$)(\?|$|\d{12}\/)/

/** Whether a request speaks one of the protocols at all. */
export const isSqs = (head: Head): boolean =>
  isJson(head) || (formAddress.test(head.url!) && (isForm(head) || /[?&]Action=/.test(head.url!)))

/** What a request asks for. Refuses what no protocol can read. */
export function readRequest(request: FastifyRequest): {
  operation: OperationName
  input: Record<string, unknown>
} {
  const text = textOf(request)
  const { queue } = request.params as { queue?: string }
  if (isJson(request)) {
    const target = String(request.headers['x-amz-target'] ?? '')
    const operation = operationOf(target.startsWith(targetPrefix) ? target.slice(targetPrefix.length) : '')
    if (operation === null) {
      throw new SqsError('UnknownOperationException', `There is no operation ${target}.`)
    }
    return { operation, input: checked(operation, parsedJson(text), queue) }
  }
  const at = request.url.indexOf('?')
  const fields = readFields(`${at < 0 ? '' : request.url.slice(at + 1)}&${text}`)
  const action = fields.get('Action')
  const operation = operationOf(action ?? '')
  if (action === undefined || action === '') {
    throw new SqsError('MissingAction', 'The request must contain the parameter Action.')
  }
  if (operation === null || (queue !== undefined && !takesQueue(operation))) {
    throw new SqsError('InvalidAction', `The action ${action} is not valid for this endpoint.`)
  }
  return { operation, input: checked(operation, inputOf(fields, operations[operation].input), queue) }
}

/** The address of the request may name its queue. */
function checked(
  operation: OperationName,
  given: unknown,
  queue: string | undefined
): Record<string, unknown> {
  const isNamed = queue !== undefined && typeof given === 'object' && given !== null
  const named = isNamed && !('QueueUrl' in given) ? { ...given, QueueUrl: queue } : given
  return checkedInput(named, operations[operation].input)
}

/** The address of a queue takes what is about queues, and GetQueueUrl. */
const takesQueue = (operation: OperationName): boolean =>
  operation !== 'CreateQueue' && operation !== 'ListQueues'

const operationOf = (name: string): OperationName | null =>
  Object.hasOwn(operations, name) ? (name as OperationName) : null

function textOf(request: FastifyRequest): string {
  const body = request.body as Buffer | undefined
  if (body === undefined || body.length === 0) return ''
  if (isUtf8(body)) return body.toString()
  const code = isJson(request) ? 'SerializationException' : 'MalformedQueryString'
  throw new SqsError(code, 'The body is not valid UTF-8.')
}

function parsedJson(text: string): unknown {
  if (text === '') return {}
  try {
    checkValues(text)
    return JSON.parse(text)
  } catch (error) {
    if (error instanceof SqsError) throw error
    throw new SqsError('SerializationException', 'The body is not well-formed JSON.')
  }
}

// Values that nobody reads take some thirty times the memory of their text.
function checkValues(text: string): void {
  // A value takes at least two characters, with what stands between it and the next.
  if (text.length < 2 * requestValuesMax) return
  // Those in texts count here too. Mostly there are few enough, and the texts need not be passed over.
  const most = [',', '[', '{'].reduce((sum, mark) => sum + countOf(text, mark), 1)
  if (most <= requestValuesMax) return
  let values = 1
  for (let at = 0; at < text.length;) {
    const code = codeAt(text, at)
    if (code === comma || code === bracket || code === brace) values++
    at = code === 0x22 ? skipName(text, at) : at + 1
  }
  if (values > requestValuesMax) throw tooLarge(`The body has more than ${requestValuesMax} values.`)
}

/** How often a character is there; one more than the bound of values where it is there more often. */
function countOf(text: string, mark: string): number {
  let count = 0
  for (let at = text.indexOf(mark); at >= 0 && count <= requestValuesMax; at = text.indexOf(mark, at + 1)) {
    count++
  }
  return count
}

/** The text of an answer, whose content type it sets. */
export function writeResult(
  request: FastifyRequest,
  reply: FastifyReply,
  operation: OperationName,
  result: Record<string, unknown>
): string {
  reply.header(requestIdField, request.id).type(typeOf(request))
  const { output } = operations[operation]
  return isJson(request)
    ? JSON.stringify(output === null ? {} : result)
    : resultXml(operation, output, result, request.id)
}

/** The text of an error, whose status and content type it sets. */
export function writeError(request: FastifyRequest, reply: FastifyReply, error: SqsError): string {
  const { status, type, fields, body } = refusalOf(error, request, request.id)
  reply.code(status).type(type).headers(fields)
  return body
}

/** Answers a request at the address of a queue that asks for nothing. */
export const writeNoOperation = (reply: FastifyReply): FastifyReply =>
  reply.code(404).type('text/xml').send('<UnknownOperationException/>')

/** For the refusals of other parts. */
export const writeSqsRefusal: WriteOwnRefusal = (error, request, requestId) =>
  isSqs(request) ? refusalOf(sqsErrorOf(error), request, requestId) : null

function refusalOf(error: SqsError, head: Head, requestId: string): Refusal {
  return {
    status: error.status,
    type: typeOf(head),
    fields: {
      [requestIdField]: requestId,
      'x-amzn-query-error': `${error.legacyCode};${error.isSenders ? 'Sender' : 'Receiver'}`
    },
    body: isJson(head)
      ? JSON.stringify({ __type: error.type, message: error.message })
      : errorXml(error, requestId)
  }
}

const typeOf = (head: Head): string => (isJson(head) ? jsonType : 'text/xml')
