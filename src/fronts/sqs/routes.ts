/** The SQS front: every operation at `POST /`, signed or with a key, in the protocol of the caller. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { ApiKey, ApiKeyRing } from '../../core/apiKey.ts'
import type { Broker } from '../../core/broker.ts'
import { messageBytesMax } from '../../core/limits.ts'
import { bearerKey, letIn } from '../shared/guard.ts'
import { readInTurn } from '../shared/readInTurn.ts'
import { hidden, type Server } from '../shared/server.ts'
import type { Call, Operation } from './call.ts'
import { SqsError } from './errors.ts'
import { FirstGroups } from './firstGroup.ts'
import { cancelMessageMoveTask, listMessageMoveTasks, startMessageMoveTask } from './moves.ts'
import { addPermission, removePermission } from './permissions.ts'
import {
  isJson,
  isSqs,
  readRequest,
  writeError,
  writeNoOperation,
  writeResult,
  writeSqsRefusal
} from './protocol.ts'
import * as queues from './queues.ts'
import { receiveMessage } from './receive.ts'
import { sendMessage, sendMessageBatch } from './send.ts'
import * as settling from './settle.ts'
import { regionOf, type Credential, type Signatures } from './signature.ts'
import type { OperationName } from './structures.ts'

type Handler = (request: FastifyRequest, reply: FastifyReply) => unknown
/** Sends the refusal of a request, as `writeSqsRefusal` writes it if it is ours. */
type SendRefusal = (thrown: unknown, request: FastifyRequest, reply: FastifyReply) => FastifyReply

export interface SqsOptions {
  broker: Broker
  /** null: keys are switched off. */
  ring: ApiKeyRing | null
  signatures: Signatures
  /** Where callers reach the service. Empty: at the Host of their requests. */
  sqsUrl: string
}

const handlers: { [Name in OperationName]: Operation<Name> } = {
  AddPermission: addPermission,
  CancelMessageMoveTask: cancelMessageMoveTask,
  ChangeMessageVisibility: settling.changeMessageVisibility,
  ChangeMessageVisibilityBatch: settling.changeMessageVisibilityBatch,
  CreateQueue: queues.createQueue,
  DeleteMessage: settling.deleteMessage,
  DeleteMessageBatch: settling.deleteMessageBatch,
  DeleteQueue: queues.deleteQueue,
  GetQueueAttributes: queues.getQueueAttributes,
  GetQueueUrl: queues.getQueueUrl,
  ListDeadLetterSourceQueues: queues.listDeadLetterSourceQueues,
  ListMessageMoveTasks: listMessageMoveTasks,
  ListQueueTags: queues.listQueueTags,
  ListQueues: queues.listQueues,
  PurgeQueue: queues.purgeQueue,
  ReceiveMessage: receiveMessage,
  RemovePermission: removePermission,
  SendMessage: sendMessage,
  SendMessageBatch: sendMessageBatch,
  SetQueueAttributes: queues.setQueueAttributes,
  StartMessageMoveTask: startMessageMoveTask,
  TagQueue: queues.tagQueue,
  UntagQueue: queues.untagQueue
}

/** Not refused for the key's rate, because they make room. */
const settles = new Set<OperationName>([
  'ChangeMessageVisibility',
  'ChangeMessageVisibilityBatch',
  'DeleteMessage',
  'DeleteMessageBatch'
])

/**
 * Its routes, and how it refuses what reaches none. `otherwise` answers a GET of the root that is no
 * call of an operation.
 */
export const createSqsFront = (options: SqsOptions) => ({
  routes: (app: Server, sendRefusal: SendRefusal, otherwise: Handler) =>
    addRoutes(app, options, sendRefusal, otherwise),
  writeRefusal: writeSqsRefusal
})

/** Four times what the messages of a batch may have together. A form takes three times as much for them. */
const bodyBytesMax = 4 * messageBytesMax

/** An answer in JSON without a serializer gets a charset behind its type, where SQS has none. */
const asItIs = (text: string) => text

async function addRoutes(
  app: Server,
  options: SqsOptions,
  sendRefusal: SendRefusal,
  otherwise: Handler
): Promise<void> {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, bytes, done) => done(null, bytes))
  app.setErrorHandler((thrown, request, reply) => {
    if (thrown instanceof SqsError) return reply.send(writeError(request, reply, thrown))
    return sendRefusal(thrown, request, reply)
  })
  app.addHook('onRequest', (request, _reply, done) => {
    try {
      takeClaim(request, options)
      done()
    } catch (error) {
      done(error as Error)
    }
  })
  const firstGroups = new FirstGroups()
  const answer: Handler = async (request, reply) => {
    if (!isSqs(request)) {
      const isOfQueue = (request.params as { queue?: string }).queue !== undefined
      return isOfQueue ? writeNoOperation(reply) : otherwise(request, reply)
    }
    reply.serializer(asItIs)
    const { operation, input } = await openInTurn(request, options)
    // The input was checked by the structures that its type is made of.
    const result = await handlers[operation](callOf(request, reply, options, firstGroups), input as never)
    return reply.send(writeResult(request, reply, operation, result))
  }
  const bodyLimit = Math.min(bodyBytesMax, app.initialConfig.bodyLimit!)
  const route = { config: { access: 'signed' }, schema: hidden, bodyLimit } as const
  for (const path of ['/', '/:account(^\\d{12}$)/:queue']) {
    app.post(path, route, answer)
    app.get(path, route, answer)
  }
}

/** As `open`, when it is the caller's turn: a hash and checks of a large body take long. */
function openInTurn(request: FastifyRequest, options: SqsOptions): Promise<ReturnType<typeof readRequest>> {
  const { length = 0 } = (request.body as Buffer | undefined) ?? {}
  const { promise, resolve, reject } = Promise.withResolvers<ReturnType<typeof readRequest>>()
  readInTurn(request.caller, length, () => {
    try {
      resolve(open(request, options))
    } catch (error) {
      reject(error)
    }
  })
  return promise
}

/** Reads the request of a caller that may send it at all. */
function open(request: FastifyRequest, { signatures }: SqsOptions): ReturnType<typeof readRequest> {
  const claim = claims.get(request)
  if (claim === undefined) return readRequest(request)
  const { key, credential } = claim
  if (credential !== null) {
    const { method, url, headers, body = Buffer.alloc(0) } = request
    signatures.verify({ method, url, headers, body: body as Buffer }, credential)
  }
  const read = readRequest(request)
  letIn(request, key, settles.has(read.operation))
  return read
}

/** Who says to have sent a request. `credential` is null where it has shown its key itself. */
interface Claim {
  key: ApiKey
  credential: Credential | null
}

/** Of requests under way, while keys are in force. */
const claims = new WeakMap<FastifyRequest, Claim>()

// Before the body is read: whoever knows no key should not have it read.
function takeClaim(request: FastifyRequest, { ring, signatures }: SqsOptions): void {
  if (!isSqs(request)) return
  if (ring === null || !ring.inForce) return refuseLinks(request)
  const isBearer = /^bearer /i.test(request.headers.authorization ?? '')
  claims.set(
    request,
    isBearer ? { key: bearerKey(request, ring), credential: null } : signerOf(request, ring, signatures)
  )
}

/** A link or an image on any page makes a GET, but cannot sign it. */
function refuseLinks({ method, headers }: FastifyRequest): void {
  if (method === 'POST' || headers.authorization !== undefined) return
  throw new SqsError(
    'MissingAuthenticationToken',
    'Send this by POST, as SDKs do. A GET must have a signature, because a link could make it.'
  )
}

function signerOf(request: FastifyRequest, ring: ApiKeyRing, signatures: Signatures): Claim {
  const credential = signatures.credentialOf(request.headers.authorization)
  if (credential === null) {
    throw new SqsError(
      'MissingAuthenticationToken',
      'Sign the request in its field Authorization, by a key that holdfast keys create --sqs prints. ' +
        'Authorization: Bearer hf_… will do too. A presigned address is not taken.'
    )
  }
  if (!signatures.canVerify) {
    throw new SqsError(
      'InvalidClientTokenId',
      'This service has no secret to check signatures by. Its operator sets HOLDFAST_SIGNING_SECRET_FILE.'
    )
  }
  const key = ring.signer(credential.keyId)
  if (key === null) {
    throw new SqsError(
      'InvalidClientTokenId',
      'The access key id is not known here: it is misspelt, or its key has been revoked.'
    )
  }
  return { key, credential }
}

const invocationPattern = /^[!-~]{1,128}$/

function callOf(
  request: FastifyRequest,
  reply: FastifyReply,
  { broker, sqsUrl }: SqsOptions,
  firstGroups: FirstGroups
): Call {
  const { headers, caller, protocol } = request
  const invocation = String(headers['amz-sdk-invocation-id'] ?? '')
  return {
    broker,
    firstGroups,
    request,
    reply,
    caller,
    region: () => regionOf(headers.authorization),
    origin: sqsUrl === '' ? `${protocol}://${headers.host!}` : sqsUrl,
    isXml: !isJson(request),
    invocationId: invocationPattern.test(invocation) ? invocation : null
  }
}
