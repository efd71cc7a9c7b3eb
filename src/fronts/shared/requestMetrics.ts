/**
 * Counts answered requests by route and class of status, with how long they took. At log level
 * `info` it logs a line for each.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'

interface Answered {
  method: string
  route: string
  status: string
  buckets: number[]
  sumSeconds: number
}

declare module 'fastify' {
  interface FastifyRequest {
    /** When the header fields had been read, by the clock of `performance.now()`. */
    startedMs: number
  }
}

/** Upper bounds of all buckets except the last, which has none. */
export const answeredBoundsSeconds = Array.from({ length: 9 }, (_, index) => 4 ** index / 1000)

/** The bucket of a time. Two more binary digits of milliseconds are one bucket more. */
const bucketOf = (ms: number) => Math.min(answeredBoundsSeconds.length, (33 - Math.clz32(ms)) >> 1)

/**
 * Counts when an answer is handed over to be sent. A listener for its end would cost more than
 * everything else here.
 */
export class RequestMetrics {
  readonly #answered = new Map<string, Answered>()
  readonly #log: Logger | null

  constructor(log: Logger) {
    this.#log = log.isLevelEnabled('info') ? log : null
  }

  /**
   * Registered before every route. Requests that no route of the contract answers count as one
   * route, `other`: unknown addresses, other methods, Swagger UI.
   */
  watch(app: FastifyInstance): void {
    app.decorateRequest('startedMs', 0)
    app.addHook('onRequest', (request, _reply, done) => {
      request.startedMs = performance.now()
      done()
    })
    const other = this.#counter('other', 'other')
    app.addHook('onSend', (request, reply, payload, done) =>
      request.is404 ? other(request, reply, payload, done) : done(null, payload)
    )
    app.addHook('onRoute', route => {
      const hidden = (route.schema as { hide?: boolean } | undefined)?.hide === true
      route.onSend = [
        ...[route.onSend ?? []].flat(),
        hidden ? other : this.#counter(String(route.method), route.url)
      ]
    })
  }

  /** All counts since the start. */
  all(): Answered[] {
    return [...this.#answered.values()]
  }

  #counter(method: string, route: string) {
    const classes: Answered[] = []
    const of = (status: number): Answered => {
      const key = `${method} ${route} ${status}`
      let answered = this.#answered.get(key)
      if (answered === undefined) {
        answered = {
          method,
          route,
          status: `${status}xx`,
          buckets: Array(answeredBoundsSeconds.length + 1).fill(0),
          sumSeconds: 0
        }
        this.#answered.set(key, answered)
      }
      return answered
    }
    return (
      request: FastifyRequest,
      reply: FastifyReply,
      payload: unknown,
      done: (error: null, payload: unknown) => void
    ) => {
      const ms = performance.now() - request.startedMs
      const status = Math.trunc(reply.raw.statusCode / 100)
      const answered = (classes[status] ??= of(status))
      answered.buckets[bucketOf(ms)]!++
      answered.sumSeconds += ms / 1000
      if (this.#log !== null) this.#logRequest(this.#log, route, request, reply, ms)
      done(null, payload)
    }
  }

  // Logs no body, header field or query, because keys and secrets may be in them.
  #logRequest(log: Logger, route: string, request: FastifyRequest, reply: FastifyReply, ms: number): void {
    const { queue } = (request.params ?? {}) as { queue?: string }
    log.info(
      {
        requestId: request.id,
        method: request.method,
        route,
        queue,
        status: reply.statusCode,
        durationMs: Math.round(ms * 1000) / 1000,
        key: request.key?.id
      },
      'request'
    )
  }
}
