/** Who may do what. The guard checks the API key of every request before anything else is done for it. */
import type { FastifyRequest } from 'fastify'
import type { Action, ApiKey, ApiKeyRing } from '../../core/apiKey.ts'
import { QueueError } from '../../core/errors.ts'
import { queueNotFound } from '../../core/queue.ts'
import type { Server } from './server.ts'

/** What a route demands of the key: an action on the queue in its path, any good key, or nothing. */
export type Access = Action | 'key' | 'anyone' | 'docs' | 'metrics'

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
    /** Settling makes room, so it is not held to the key's rate. */
    settles?: true
  }
  interface FastifyRequest {
    /** null while no keys are in force. */
    key: ApiKey | null
  }
}

export interface GuardOptions {
  /** null: keys are switched off. */
  ring: ApiKeyRing | null
  /** What needs no key while keys are in force. */
  open: { docs: boolean; metrics: boolean }
}

/** Registered before every route. A route without an `access` is for admins. */
export function guard(app: Server, { ring, open }: GuardOptions): void {
  app.decorateRequest('key', null)
  app.addHook('onRoute', route => {
    if (route.config?.access === undefined && /^\/(docs|openapi\.json)/.test(route.url)) {
      route.config = { ...route.config, access: 'docs' }
    }
  })
  app.addHook('onRequest', (request, _reply, done) => {
    if (ring === null) return done()
    try {
      if (!ring.inForce) {
        refuseWebPages(request)
        return done()
      }
      const { access = request.is404 ? 'key' : 'admin', settles } = request.routeOptions.config
      if (access === 'anyone' || (access === 'docs' && open.docs) || (access === 'metrics' && open.metrics)) {
        return done()
      }
      const key = (request.key = keyOf(request, ring))
      if (!settles) key.requests.check('requests')
      key.requests.take(1)
      authorize(key, access, (request.params as { queue?: string }).queue)
      done()
    } catch (error) {
      done(error as Error)
    }
  })
}

// Until there is a key, only programs of this machine are served. Web pages opened on this machine
// are refused too: those that send forms here, and those whose own name was pointed at this machine.
function refuseWebPages({ headers: { host = '', origin } }: FastifyRequest): void {
  const foreignName = /\.[a-z][a-z0-9-]*\.?(:\d+)?$/i.test(host) && !/\.localhost\.?(:\d+)?$/i.test(host)
  if (!foreignName && (origin === undefined || origin === `http://${host}`)) return
  throw new QueueError(
    'forbidden',
    'Until there is an API key only programs of this machine are served, under its own name, and no ' +
      'pages of other sites. holdfast keys create makes a key.'
  )
}

function keyOf({ headers: { authorization } }: FastifyRequest, ring: ApiKeyRing): ApiKey {
  const [, secret] = /^bearer +(\S+)$/i.exec(authorization ?? '') ?? []
  if (secret === undefined) {
    throw new QueueError(
      'unauthorized',
      'This service asks for an API key. Send it as Authorization: Bearer hf_…; holdfast keys create ' +
        'makes one.'
    )
  }
  const key = ring.identify(secret)
  if (key === null) throw notKnown()
  return key
}

function notKnown(): QueueError {
  return new QueueError(
    'unauthorized',
    'The API key is not known here: it is misspelt, or it has been revoked.'
  )
}

/** For a call that has waited: refuses when its key has been revoked meanwhile. */
export function refuseEnded({ key }: FastifyRequest): void {
  if (key?.ended) throw notKnown()
}

function authorize(key: ApiKey, access: Exclude<Access, 'anyone'>, queue: string | undefined): void {
  if (access === 'key' || access === 'docs' || key.isAdmin) return
  if (access === 'metrics') {
    if (!key.within('browse').prefixes.includes('')) {
      throw new QueueError(
        'forbidden',
        'The metrics tell of every queue, so they take a key with the right browse:*.'
      )
    }
    return
  }
  if (access === 'admin' || queue === undefined) {
    throw new QueueError('forbidden', 'This takes a key with the right admin.')
  }
  if (!key.sees(queue)) throw queueNotFound(queue)
  allow(key, access, queue)
}

/** The queues that the key may browse. */
export function browsable({ key }: FastifyRequest): { names: string[]; prefixes: string[] } {
  return key?.within('browse') ?? { names: [], prefixes: [''] }
}

/**
 * For something that belongs to a queue that is not in the path. Refuses with `notFound` when the
 * key does not see the queue, and with forbidden when it may not do this there.
 */
export function permit(
  { key }: FastifyRequest,
  action: Action,
  queue: string,
  notFound: () => QueueError
): void {
  if (key !== null && !key.sees(queue)) throw notFound()
  if (key !== null) allow(key, action, queue)
}

function allow(key: ApiKey, action: Action, queue: string): void {
  if (!key.may(action, queue)) {
    throw new QueueError(
      'forbidden',
      `This key has no right to ${action} on the queue ${queue}; nothing was changed.`
    )
  }
}

/** Takes messages off the key's rate: those it is about to enqueue, or has leased. */
export function takeMessages({ key }: FastifyRequest, count: number): void {
  key?.messages.take(count)
}

/**
 * Refuses with rateLimited when the key's rate of messages is used up. With `settles` it returns
 * false instead: then nothing more is leased, and the acks are still done.
 */
export function checkMessages({ key }: FastifyRequest, settles = false): boolean {
  if (!settles) key?.messages.check('messages')
  return key === null || !key.messages.spent
}
