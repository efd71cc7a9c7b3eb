/** Handlers of push: set, look, test, rotate, delete. */
import type { Broker } from '../../../core/broker.ts'
import type { Caller } from '../../../core/caller.ts'
import { checkPush, type Push } from '../../../core/push.ts'
import { hasQueueBound } from '../../shared/guard.ts'
import type { Server } from '../../shared/server.ts'
import { pushOperations } from '../contract/push.ts'

/** What the push front does for these routes. */
export interface PushCalls {
  /** Refuses with invalidRequest a URL whose host may not be reached, and with shareUsedUp, overloaded. */
  checkHost(caller: Caller, url: string): Promise<void>
  /** Sends a request without a message. Refuses with pushNotFound, shareUsedUp, overloaded. */
  test(
    caller: Caller,
    queue: string
  ): Promise<{ delivered: boolean; status: number | null; seconds: number; reason: string | null }>
}

export function pushRoutes(app: Server, broker: Broker, push: PushCalls): void {
  const { pushes } = broker

  app.route({
    ...pushOperations.putPush,
    async handler(request, reply) {
      const { caller, params, body } = request
      const { queue } = params
      checkPush(body)
      if (body.url !== undefined) {
        await push.checkHost(caller, body.url)
        await broker.putQueue(caller, queue, {}, { isBounded: hasQueueBound(request), only: 'new' })
      }
      const { push: made, secret } = await pushes.put(caller, queue, body)
      return reply.code(secret === null ? 200 : 201).send({ ...shown(made), ...(secret && { secret }) })
    }
  })

  app.route({
    ...pushOperations.getPush,
    async handler({ caller, params: { queue } }) {
      const { push: found, state } = await pushes.report(caller, queue)
      return { ...shown(found), ...state }
    }
  })

  app.route({
    ...pushOperations.testPush,
    handler: ({ caller, params: { queue } }) => push.test(caller, queue)
  })

  app.route({
    ...pushOperations.rotatePush,
    async handler({ caller, params: { queue } }) {
      const { push: rotated, secret } = await pushes.rotate(caller, queue)
      return { ...shown(rotated), secret }
    }
  })

  app.route({
    ...pushOperations.deletePush,
    async handler({ caller, params: { queue } }, reply) {
      await pushes.delete(caller, queue)
      return reply.code(204).send(null)
    }
  })
}

function shown({ queueId: _id, keyId: _key, oldKeyId: _old, callerId: _caller, oldKeyUntil, ...push }: Push) {
  const isOver = oldKeyUntil === null || Date.parse(oldKeyUntil) <= Date.now()
  return { ...push, oldSecretUntil: isOver ? null : oldKeyUntil }
}
