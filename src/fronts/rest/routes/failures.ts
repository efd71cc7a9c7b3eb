/** Handler of failures grouped by reason. */
import type { Broker } from '../../../core/broker.ts'
import { failingStates } from '../../../core/message.ts'
import type { Answers } from '../../shared/heldBytes.ts'
import { givenUp } from '../../shared/givenUp.ts'
import { sendJson } from '../sendJson.ts'
import { failureOperations } from '../contract/failures.ts'
import type { Server } from '../../shared/server.ts'

export function failureRoutes(app: Server, broker: Broker, answers: Answers): void {
  app.route({
    ...failureOperations.listFailures,
    async handler(request, reply) {
      const { state } = request.query
      const states = state === undefined ? [...failingStates] : [state]
      const failures = await broker.failures(
        request.caller,
        request.params.queue,
        states,
        givenUp(request, reply)
      )
      return sendJson(reply, [JSON.stringify(failures)], answers)
    }
  })
}
