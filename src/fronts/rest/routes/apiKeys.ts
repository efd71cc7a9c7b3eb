/** Handlers of API keys, for admins: make, list, revoke. */
import { QueueError } from '../../../core/errors.ts'
import type { ApiKeys } from '../../../core/ports.ts'
import { apiKeyOperations } from '../contract/apiKeys.ts'
import type { Server } from '../../shared/server.ts'

/** `required`: calls need a key, once there is one. */
export function apiKeyRoutes(app: Server, apiKeys: ApiKeys, required: boolean): void {
  app.route({
    ...apiKeyOperations.createKey,
    async handler({ body, key }, reply) {
      const { name, rights, requestsPerSecond = null, messagesPerSecond = null } = body
      const grant = { name, rights, requestsPerSecond, messagesPerSecond }
      const made = await apiKeys.create(grant, required && key === null)
      return reply.code(201).header('cache-control', 'no-store').send(made)
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
