/** Push: the endpoint to which the service delivers the messages of a queue, and its secret. */
import { createHmac, createSecretKey, randomBytes, type KeyObject } from 'node:crypto'
import type { Caller } from './caller.ts'
import { invalidRequest, pointerStep, QueueError } from './errors.ts'
import { checkOneMore, type Holding } from './fairShare.ts'
import {
  pushesMax,
  pushHeaderNameCharsMax,
  pushHeadersCharsMax,
  pushHeadersMax,
  pushUrlCharsMax
} from './limits.ts'
import type { Digits } from './message.ts'

export interface PushSettings {
  url: string
  /** Requests under way at one time, of one replica. */
  maxConcurrent: number
  timeoutSeconds: number
  /** Fields of each request beside those of the service. */
  headers: Record<string, string>
}

export const pushDefaults = { maxConcurrent: 10, timeoutSeconds: 30, headers: {} } as const

/** A push as it is stored. */
export interface Push extends PushSettings {
  queueId: Digits
  queue: string
  /** What the secret is made from, with a secret of the service. */
  keyId: string
  /** The one before, which signs too until `oldKeyUntil`. null: there is none. */
  oldKeyId: string | null
  oldKeyUntil: string | null
  /** Who has made it: an API key, or an address where none was needed. */
  callerId: string
  createdAt: string
  updatedAt: string
}

/** What became of a request to an endpoint. */
export const pushOutcomes = ['delivered', 'gone', 'failed', 'timeout', 'unreachable'] as const
export type PushOutcome = (typeof pushOutcomes)[number]

/** One request to an endpoint, for people. */
export interface Delivery {
  id: Digits
  attempt: number
  at: string
  outcome: PushOutcome
  /** null: the endpoint gave no answer. */
  status: number | null
  seconds: number
  /** null: it was delivered. */
  reason: string | null
}

/** The endpoint has failed so often that deliveries are slowed down. */
export interface Slowdown {
  /** In a row. */
  failures: number
  reason: string
  /** When the next delivery is tried. */
  until: string
}

/** What one process knows of a push. */
export interface PushState {
  /** null: deliveries go on at full speed. */
  slowed: Slowdown | null
  /** The newest first. */
  deliveries: Delivery[]
}

/** What one process has counted of its deliveries. */
export interface PushFigures {
  deliveries: Record<PushOutcome, number>
  /** One for each bound, and one for what is beyond the last. */
  boundsSeconds: number[]
  buckets: number[]
  sumSeconds: number
  underway: number
  slowed: number
}

/** Fields that the service sets itself, or that belong to the connection. */
const ownHeaders = new RegExp(
  '^(host|content-(length|type|encoding)|transfer-encoding|connection|keep-alive|upgrade|te|trailer|' +
    'expect|user-agent|accept-encoding|traceparent|tracestate|baggage|(proxy|webhook|holdfast)-.*)$',
  'i'
)
const headerName = new RegExp(`^[!#$%&'*+.^_\`|~0-9A-Za-z-]{1,${pushHeaderNameCharsMax}}$`)
/** Printable, and no space at its ends. */
export const pushHeaderValuePattern = '^(?:[\\x21-\\x7e](?:[\\x20-\\x7e\\t]*[\\x21-\\x7e])?)?$'

/** Refuses with invalidRequest what no request can be sent to, or sent with. */
export function checkPush({ url, headers }: Partial<PushSettings>): void {
  if (url !== undefined) checkUrl(url)
  if (headers === undefined) return
  const names = Object.keys(headers)
  if (names.length > pushHeadersMax) throw invalidRequest('/headers', `has more than ${pushHeadersMax} names`)
  if (Object.entries(headers).flat().join('').length > pushHeadersCharsMax) {
    throw invalidRequest('/headers', `must have at most ${pushHeadersCharsMax} characters together`)
  }
  const seen = new Set<string>()
  for (const name of names) {
    const pointer = `/headers${pointerStep(name)}`
    if (!headerName.test(name)) throw invalidRequest(pointer, 'is no name of a header field')
    if (ownHeaders.test(name)) throw invalidRequest(pointer, 'is a field that the service sets itself')
    if (seen.has(name.toLowerCase())) throw invalidRequest(pointer, 'stands there twice')
    seen.add(name.toLowerCase())
  }
}

function checkUrl(text: string): void {
  const refuse = (message: string) => {
    throw invalidRequest('/url', message)
  }
  if (text.length > pushUrlCharsMax) refuse(`must have at most ${pushUrlCharsMax} characters`)
  // A parser of URLs leaves out line ends and trims spaces, so what is stored would not be what is used.
  const url = /[\s\p{Cc}\p{Cs}\\]/u.test(text) ? null : URL.parse(text)
  if (url === null || !/^https?:\/\/[^/]/i.test(text)) {
    return refuse('must be a URL such as https://example.com/hook')
  }
  if (url.username !== '' || url.password !== '') {
    refuse('must not hold a name or a password. Send them in headers')
  }
  if (url.hash !== '') refuse('must not have a part after #, which is not sent')
}

const secretPrefix = 'whsec_'

/** What a new secret is made from. It is no secret itself. */
export const makePushKeyId = () => randomBytes(12).toString('hex')

/** A secret that signs, in the form of Standard Webhooks. It is stored nowhere. */
export function pushSecret(serviceSecret: Buffer, keyId: string): string {
  return secretPrefix + pushKey(serviceSecret, keyId).export().toString('base64')
}

/** The key that this secret is. Node signs by such an object six times as fast as by bytes. */
export function pushKey(serviceSecret: Buffer, keyId: string): KeyObject {
  return createSecretKey(createHmac('sha256', serviceSecret).update(`push${keyId}`).digest())
}

/** Refuses with tooManyPushes when the bound leaves no room for one more. */
export function checkPushRoom(held: Holding, { isAdmin }: Caller): void {
  checkOneMore(
    { max: pushesMax, held, isAdmin },
    {
      code: 'tooManyPushes',
      total: `There are ${held.all} pushes already`,
      share: `This caller has made ${held.mine} pushes of the ${pushesMax} there may be. That is its share`,
      advice: 'Delete a push that nobody needs.'
    }
  )
}

/** A queue has no push, or does not exist. */
export function pushNotFound(queue: string): QueueError {
  return new QueueError(
    'pushNotFound',
    `The queue ${queue} has no push. PUT /queues/${queue}/push with a url makes it.`
  )
}
