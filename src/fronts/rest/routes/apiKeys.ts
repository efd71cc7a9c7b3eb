/** Handlers of API keys, for admins: make, change, list, revoke. */
import type { Broker } from '../../../core/broker.ts'
import { QueueError } from '../../../core/errors.ts'
import type { ApiKeys } from '../../../core/ports.ts'
import { apiKeyOperations } from '../contract/apiKeys.ts'
import type { Server } from '../../shared/server.ts'

/**
 * `required`: calls need a key, once there is one. Each call takes a turn of its caller, so that many
 * of them leave the connections to others.
 */
export function apiKeyRoutes(
  app: Server,
  apiKeys: ApiKeys,
  broker: Pick<Broker, 'inTurn'>,
  required: boolean
): void {
  app.route({
    ...apiKeyOperations.createKey,
    async handler({ body, caller, key }, reply) {
      const { requestsPerSecond = null, messagesPerSecond = null } = body
      const wanted = { ...body, requestsPerSecond, messagesPerSecond }
      const made = await broker.inTurn(caller, () => apiKeys.create(wanted, required && key === null))
      return reply.code(201).header('cache-control', 'no-store').send(made)
    }
  })

  app.route({
    ...apiKeyOperations.listKeys,
    handler: async ({ caller }) => ({ keys: await broker.inTurn(caller, () => apiKeys.list()) })
  })

  app.route({
    ...apiKeyOperations.changeKey,
    async handler({ params: { id }, body, caller }) {
      const changed = await broker.inTurn(caller, () => apiKeys.change(id, body))
      if (changed === null) throw keyNotFound(id)
      return changed
    }
  })

  app.route({
    ...apiKeyOperations.revokeKey,
    async handler({ params: { id }, query: { pauseSchedules = false }, caller }, reply) {
      const revoke = () => apiKeys.revoke(id, pauseSchedules)
      const { revoked, schedules } = await broker.inTurn(caller, revoke)
      // Sent again, the call pauses what a first one that was lost may have left.
      if (!revoked && (schedules.length === 0 || !pauseSchedules)) {
        throw keyNotFound(id)
      }
      if (schedules.length === 0) return reply.code(204).send(null)
      return reply.code(200).send({ schedules })
    }
  })
}

const keyNotFound = (id: string) =>
  new QueueError('keyNotFound', `There is no key ${id}. GET /keys lists them.`)
