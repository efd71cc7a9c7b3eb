/** Who may do what. The guard checks the API key of every request before any other work. */
import type { Socket } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import {
  topicActions,
  type Action,
  type ApiKey,
  type ApiKeyRing,
  type TopicAction
} from '../../core/apiKey.ts'
import { thisMachine, type Caller } from '../../core/caller.ts'
import { requesters } from '../../core/engine/oneByOne.ts'
import { QueueError } from '../../core/errors.ts'
import { everyQueue, type NameScope } from '../../core/queue.ts'
import { callerAt } from './addresses.ts'
import { localCallers } from './localCallers.ts'
import type { Server } from './server.ts'

/**
 * What a route needs: a key with the right to an action on the queue in its path, any valid key
 * (`key`), or nothing (`anyone`). `docs` and `metrics` need a key unless they are open. Of a `signed`
 * request the whole body must be read first, so its handler lets it in. Where there is `nothing`, a
 * signed request learns that, since its signature is good at another address alone.
 */
type Access = Action | TopicAccess | 'key' | 'anyone' | 'signed' | 'nothing' | 'docs' | 'metrics'
/** The right to an action on the topic in the path, or any right to it (`topic`). */
type TopicAccess = TopicAction | 'topic'

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
    /** For balancers, which send what they like: any Host and any proxy will do. */
    probe?: true
    /** Settling is not refused for the key's rate, because it makes room. */
    settles?: true
  }
  interface FastifyRequest {
    /** null while no key is in force, and on routes that need none. */
    key: ApiKey | null
    /** Whom bounds are shared among: the key; without keys, the address. */
    caller: Caller
  }
}

export interface GuardOptions {
  /** null: keys are switched off. */
  ring: ApiKeyRing | null
  /** What needs no key even while keys are in force. */
  open: { docs: boolean; metrics: boolean }
}

/** Who is at the other end of a connection, before a key is known. */
export const connectedBy = (ring: ApiKeyRing | null) => (socket: Socket) =>
  ring?.inForce === false ? thisMachine : callerAt(socket)

/** Callers of what needs no key, while keys are in force. */
const nobody: Caller = { id: 'nobody', isAdmin: false }

/** Adds the guard. Call it before any route is added. A route without an `access` is for admins. */
export function guard(app: Server, { ring, open }: GuardOptions): void {
  app.decorateRequest('key', null)
  app.decorateRequest('caller', null as unknown as Caller) // set by the hook below, on every request
  app.addHook('onRoute', route => {
    if (route.config?.access === undefined && /^\/(docs|openapi\.json)/.test(route.url)) {
      route.config = { ...route.config, access: 'docs' }
    }
  })
  const checkLocal = localCallers(app.server)
  app.addHook('onRequest', (request, reply, done) => {
    request.caller = nobody
    try {
      refuseTwoHosts(request, reply)
      if (ring === null) {
        calledFrom(request)
        return done()
      }
      if (!ring.inForce) {
        checkLocal(request, request.routeOptions.config.probe === true)
        request.caller = thisMachine
        return done()
      }
      const { access = request.is404 ? 'nothing' : 'admin', settles } = request.routeOptions.config
      if (access === 'anyone' || (access === 'docs' && open.docs) || (access === 'metrics' && open.metrics)) {
        return done()
      }
      if (access === 'signed' || (access === 'nothing' && isSigned(request))) {
        calledFrom(request)
        return done()
      }
      const key = bearerKey(request, ring, access === 'docs' ? docsHint : undefined)
      requesters.note(key.id)
      letIn(request, key, settles === true)
      authorize(key, access, request.params as { queue?: string; topic?: string })
      done()
    } catch (error) {
      done(error as Error)
    }
  })
}

/**
 * The caller counts as its address. The body of a signed request is read before its key is known. The key
 * is not noted later either, because beside its address it would look like another caller.
 */
function calledFrom(request: FastifyRequest): void {
  request.caller = callerAt(request.socket)
  requesters.note(request.caller.id)
}

const isSigned = ({ headers: { authorization } }: FastifyRequest) =>
  authorization?.startsWith('AWS4-HMAC-SHA256') === true

// Two readers could take two different ones. So no answer depends on which is believed.
function refuseTwoHosts({ raw: { rawHeaders } }: FastifyRequest, reply: FastifyReply): void {
  let hosts = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++
  }
  if (hosts < 2) return
  reply.header('connection', 'close')
  throw new QueueError(
    'malformedRequest',
    'The request has more than one Host. Send one; nothing was changed.'
  )
}

const docsHint =
  'A browser sends no API key, so it cannot show this page. To open the pages of the API to everybody, ' +
  'start the service with HOLDFAST_OPEN=docs. A program sends Authorization: Bearer hf_….'

/** The key that a request sends. Refuses with unauthorized, and says what to do about it. */
export function bearerKey(
  { headers: { authorization } }: FastifyRequest,
  ring: ApiKeyRing,
  hint = 'This call needs an API key, which holdfast keys create makes. ' +
    'Send it as Authorization: Bearer hf_…'
): ApiKey {
  const [, secret] = /^bearer +(\S+)$/i.exec(authorization ?? '') ?? []
  if (secret === undefined) throw new QueueError('unauthorized', hint)
  const key = ring.identify(secret)
  if (key === null) throw notKnown()
  return key
}

/** Counts a request against the rate of its key. Refuses with rateLimited, unless it settles. */
export function letIn(request: FastifyRequest, key: ApiKey, settles: boolean): void {
  request.key = key
  request.caller = key
  if (!settles) key.requests.check('requests')
  key.requests.take(1)
}

function notKnown(): QueueError {
  return new QueueError(
    'unauthorized',
    'The API key is not known here: it is misspelt, or it has been revoked.'
  )
}

/** For a call that has waited. Refuses if its key has been revoked meanwhile. */
export function refuseEnded({ key }: FastifyRequest): void {
  if (key?.ended) throw notKnown()
}

function authorize(
  key: ApiKey,
  access: Exclude<Access, 'anyone' | 'signed'>,
  { queue, topic }: { queue?: string; topic?: string }
): void {
  if (access === 'key' || access === 'nothing' || access === 'docs' || key.isAdmin) return
  if (access === 'metrics') {
    if (!key.within('browse').prefixes.includes('')) {
      throw new QueueError(
        'forbidden',
        'The metrics show every queue, so they need a key with the right browse:*.'
      )
    }
    return
  }
  if (isOfTopic(access) && topic !== undefined) return authorizeTopic(key, access, topic)
  if (access === 'admin' || isOfTopic(access) || queue === undefined) {
    throw new QueueError('forbidden', 'This call needs a key with the right admin.')
  }
  permitKey(key, access, queue)
}

const isOfTopic = (access: Access): access is TopicAccess =>
  access === 'topic' || (topicActions as readonly string[]).includes(access)

function authorizeTopic(key: ApiKey, access: TopicAccess, topic: string): void {
  if (!key.seesTopic(topic)) throw topicHidden(key, access, topic)
  if (access === 'topic' || key.mayOnTopic(access, topic)) return
  throw new QueueError(
    'forbidden',
    `This key has no right to ${access} on the topic ${topic}; nothing was changed. ` + askFor(access, topic)
  )
}

/**
 * Whether the queues that the caller makes are counted against its bound. Whoever needs no key may
 * delete every queue, so a bound would protect nobody.
 */
export function hasQueueBound({ key }: FastifyRequest): boolean {
  return key !== null && !key.isAdmin
}

/** The topics that the key may look at. */
export function visibleTopics({ key }: FastifyRequest): NameScope {
  return key?.topics ?? everyQueue
}

/** The queues that the key may browse. */
export function browsable({ key }: FastifyRequest): NameScope {
  return key?.within('browse') ?? everyQueue
}

/**
 * For a queue that is not in the path. Refuses with forbidden if the key has no right to the action.
 * A key without any right to the queue gets queueNotFound, or `notFound` for a thing such as a
 * schedule.
 */
export function permit(
  { key }: FastifyRequest,
  action: Action,
  queue: string,
  notFound?: () => QueueError
): void {
  if (key !== null) permitKey(key, action, queue, notFound)
}

function permitKey(
  key: ApiKey,
  action: Action,
  queue: string,
  notFound = () => queueHidden(key, action, queue)
): void {
  if (!key.sees(queue)) throw notFound()
  if (!key.may(action, queue)) {
    throw new QueueError(
      'forbidden',
      `This key has no right to ${action} on the queue ${queue}; nothing was changed. ` +
        askFor(action, queue)
    )
  }
}

const askFor = (action: string, name: string) =>
  `Ask an admin to give it the right ${action}:${name}, or use another key.`

/** It says the same whether or not there is the queue, so nobody learns the names of others' queues. */
function queueHidden(key: ApiKey, action: Action, queue: string): QueueError {
  return new QueueError(
    'queueNotFound',
    `There is no queue ${queue}, or this key has no right to it; nothing was changed. Let an admin give ` +
      `the key the right ${action}:${queue} (PUT /keys/${key.id}). If there is no queue then, an enqueue ` +
      `or PUT /queues/${queue} makes it.`
  )
}

/** As `queueHidden`. Looking at a topic needs any right to it, such as publish. */
function topicHidden(key: ApiKey, access: TopicAccess, topic: string): QueueError {
  const right = `${access === 'topic' ? 'publish' : access}:${topic}`
  return new QueueError(
    'topicNotFound',
    `There is no topic ${topic}, or this key has no right to it; nothing was changed. Let an admin give ` +
      `the key the right ${right} (PUT /keys/${key.id}). If there is no topic then, ` +
      `PUT /topics/${topic}/subscriptions/{queue} makes it.`
  )
}

/** Counts messages against the key's rate: those that it will enqueue now, or has just leased. */
export function takeMessages({ key }: FastifyRequest, count: number): void {
  key?.messages.take(count)
}

/**
 * Refuses with rateLimited if the key's rate of messages is used up. With `settles` it returns false
 * instead. The caller then acks, and leases nothing.
 */
export function checkMessages({ key }: FastifyRequest, settles = false): boolean {
  if (!settles) key?.messages.check('messages')
  return key === null || !key.messages.spent
}
