/** Handlers of API keys, for admins: make, list, revoke. */
import { QueueError } from '../../../core/errors.ts'
import type { ApiKeys } from '../../../core/ports.ts'
import { apiKeyOperations } from '../contract/apiKeys.ts'
import type { Server } from '../../shared/server.ts'

export function apiKeyRoutes(app: Server, apiKeys: ApiKeys): void {
  app.route({
    ...apiKeyOperations.createKey,
    async handler({ body }, reply) {
      const { name, rights, requestsPerSecond = null, messagesPerSecond = null } = body
      const key = await apiKeys.create({ name, rights, requestsPerSecond, messagesPerSecond })
      return reply.code(201).header('cache-control', 'no-store').send(key)
    }
  })

  app.route({
    ...apiKeyOperations.listKeys,
    handler: async () => ({ keys: await apiKeys.list() })
  })

  app.route({
    ...apiKeyOperations.revokeKey,
    async handler({ params: { id } }, reply) {
      if (!(await apiKeys.revoke(id))) {
        throw new QueueError('keyNotFound', `There is no key ${id}. GET /keys lists them.`)
      }
      return reply.code(204).send(null)
    }
  })
}
