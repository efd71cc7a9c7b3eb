/** Answers 405 to a taken address with another method. */
import type { FastifyInstance } from 'fastify'
import { QueueError } from '../../core/errors.ts'
import type { SendProblem } from './sendProblem.ts'
import { hidden } from '../shared/server.ts'

/** Collects the methods of every route that is registered after this. */
export function collectMethods(app: FastifyInstance): Map<string, Set<string>> {
  const methods = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const taken = methods.get(url) ?? new Set()
    for (const name of [method].flat()) taken.add(name)
    methods.set(url, taken)
  })
  return methods
}

/** Registers a refusal for every other method of the collected routes. */
export function refuseOtherMethods(
  app: FastifyInstance,
  methods: Map<string, Set<string>>,
  sendProblem: SendProblem
): void {
  for (const [url, taken] of [...methods]) {
    const allow = [...taken].sort().join(', ')
    app.route({
      url,
      method: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE'].filter(
        method => !taken.has(method)
      ),
      config: { access: 'nothing' },
      schema: hidden,
      exposeHeadRoute: false,
      onRequest: (request, reply) => {
        sendProblem(
          new QueueError(
            'methodNotAllowed',
            `This route takes ${allow}; nothing was changed. GET /docs shows what each does.`
          ),
          request,
          reply.header('allow', allow)
        )
      },
      handler: async () => {}
    })
  }
}
