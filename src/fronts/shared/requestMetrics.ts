/**
 * Requests as they are answered: counted by route and class of status, with how long they took;
 * and a line of log for each where that is asked for.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'

export interface Answered {
  method: string
  route: string
  status: string
  buckets: number[]
  sumSeconds: number
}

declare module 'fastify' {
  interface FastifyRequest {
    /** When its header fields had been read, by the clock of `performance.now()`. */
    startedMs: number
  }
}

/** Upper bounds of the buckets but the last. */
export const answeredBoundsSeconds = Array.from({ length: 9 }, (_, index) => 4 ** index / 1000)

/**
 * Counts at the moment an answer is handed over to be sent: a listener for its end would cost more
 * than all else here.
 */
export class RequestMetrics {
  readonly #answered = new Map<string, Answered>()
  readonly #log: Logger | null

  constructor(log: Logger) {
    this.#log = log.isLevelEnabled('info') ? log : null
  }

  /**
   * Registered before every route. What no route of the contract answers (unknown addresses, other
   * methods, Swagger UI) is one.
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

  /** What has been answered so far. */
  all(): Answered[] {
    return [...this.#answered.values()]
  }

  #counter(method: string, route: string) {
    const classes: Answered[] = []
    const of = (status: number): Answered => {
      const known = `${method} ${route} ${status}`
      let answered = this.#answered.get(known)
      if (answered === undefined) {
        this.#answered.set(
          known,
          (answered = {
            method,
            route,
            status: `${status}xx`,
            buckets: Array(answeredBoundsSeconds.length + 1).fill(0),
            sumSeconds: 0
          })
        )
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
      answered.buckets[Math.min(answeredBoundsSeconds.length, (33 - Math.clz32(ms)) >> 1)]!++
      answered.sumSeconds += ms / 1000
      if (this.#log !== null) this.#tell(this.#log, route, request, reply, ms)
      done(null, payload)
    }
  }

  // Never a body, a header field or a query: keys and secrets are in those.
  #tell(log: Logger, route: string, request: FastifyRequest, reply: FastifyReply, ms: number): void {
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
