/** Errors as SQS says them, and what the errors of the core are called there. */
import type { Code, QueueError } from '../../core/errors.ts'
import { errors } from './shapes.ts'

type Modelled = keyof typeof errors
/** Codes that AWS uses beside those of its model, with their status. */
const unmodelled = {
  AccessDenied: 403,
  InternalFailure: 500,
  InvalidAction: 400,
  InvalidClientTokenId: 403,
  InvalidParameterValue: 400,
  MalformedQueryString: 400,
  MissingAction: 400,
  MissingAuthenticationToken: 403,
  MissingParameter: 400,
  RequestTimeout: 408,
  RequestTooLarge: 413,
  SerializationException: 400,
  ServiceUnavailable: 503,
  SignatureDoesNotMatch: 403,
  UnknownOperationException: 400
} as const
export type SqsCode = Modelled | keyof typeof unmodelled
/** What the JSON protocol calls them, where that is not the code. */
const jsonNames: Partial<Record<SqsCode, string>> = {
  AccessDenied: 'AccessDeniedException',
  InvalidClientTokenId: 'UnrecognizedClientException',
  InvalidParameterValue: 'InvalidParameterValueException',
  MissingParameter: 'MissingRequiredParameterException',
  SignatureDoesNotMatch: 'InvalidSignatureException'
}

const isModelled = (code: SqsCode): code is Modelled => code in errors

/** An answer does not repeat what is far longer than any name or receipt. */
const messageCharsMax = 2000

/** How a call fails, under the names that both protocols of SQS have for it. */
export class SqsError extends Error {
  readonly code: SqsCode

  constructor(code: SqsCode, message: string) {
    super(message.slice(0, messageCharsMax))
    this.name = 'SqsError'
    this.code = code
  }

  get status(): number {
    return isModelled(this.code) ? errors[this.code].status : unmodelled[this.code]
  }

  /** The code in the query protocol, in `x-amzn-query-error` and in entries of a batch. */
  get legacyCode(): string {
    return isModelled(this.code) ? errors[this.code].legacy : this.code
  }

  /** `__type` of the JSON protocol. */
  get type(): string {
    const namespace = isModelled(this.code) ? 'com.amazonaws.sqs' : 'com.amazon.coral.service'
    return `${namespace}#${jsonNames[this.code] ?? this.code}`
  }

  /** The text in the query protocol. */
  get legacyMessage(): string {
    return this.code === 'QueueDoesNotExist'
      ? 'The specified queue does not exist for this wsdl version.'
      : this.message
  }

  /** The caller is at fault, and not the service. */
  get isSenders(): boolean {
    return this.status < 500
  }
}

/** A value that AWS or Holdfast does not take. */
export const invalidValue = (message: string): SqsError => new SqsError('InvalidParameterValue', message)
/** A parameter is missing, or empty. */
export const missing = (name: string): SqsError =>
  new SqsError('MissingParameter', `The request must contain the parameter ${name}.`)
/** A request that holds more than is read. */
export const tooLarge = (message: string): SqsError => new SqsError('RequestTooLarge', message)
/** There is no such queue, or the key does not see it. */
export const queueDoesNotExist = (): SqsError =>
  new SqsError('QueueDoesNotExist', 'The specified queue does not exist.')

/** What a code of the core is in SQS. Others are faults of the request. */
const codeOf: Partial<Record<Code, SqsCode>> = {
  queueNotFound: 'QueueDoesNotExist',
  invalidReceipt: 'ReceiptHandleIsInvalid',
  unauthorized: 'InvalidClientTokenId',
  forbidden: 'AccessDenied',
  rateLimited: 'RequestThrottled',
  queueFull: 'RequestThrottled',
  tooManyWaiting: 'RequestThrottled',
  tooManyQueues: 'RequestThrottled',
  shareUsedUp: 'RequestThrottled',
  redriveNotFound: 'ResourceNotFoundException',
  routeNotFound: 'InvalidAddress',
  methodNotAllowed: 'InvalidAddress',
  requestTimeout: 'RequestTimeout',
  requestTooLarge: 'RequestTooLarge',
  databaseUnavailable: 'ServiceUnavailable',
  outcomeUnknown: 'ServiceUnavailable',
  overloaded: 'ServiceUnavailable',
  shuttingDown: 'ServiceUnavailable',
  internal: 'InternalFailure'
}

/** An error of the core as SQS says it. */
export function sqsErrorOf(error: QueueError | SqsError): SqsError {
  if (error instanceof SqsError) return error
  if (error.code === 'queueNotFound') return queueDoesNotExist()
  if (error.code === 'redriveRunning') {
    return invalidValue(
      'There is already a task running. Only one active task is allowed for a source queue arn at a ' +
        'given time.'
    )
  }
  return new SqsError(codeOf[error.code] ?? 'InvalidParameterValue', error.message)
}
