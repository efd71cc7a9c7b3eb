/** Handlers of redrives: at once, or as tasks that keep to a rate. */
import type { Broker } from '../../../core/broker.ts'
import { permit } from '../../shared/guard.ts'
import type { Server } from '../../shared/server.ts'
import { givenUp } from '../../shared/givenUp.ts'
import { redriveOperations } from '../contract/redrives.ts'
import { matchedJson, selectionOf } from './bulk.ts'

export function redriveRoutes(app: Server, broker: Broker): void {
  app.route({
    ...redriveOperations.redrive,
    async handler(request, reply) {
      const {
        caller,
        params: { queue },
        body: { to, ratePerSecond, dryRun, ...chosen }
      } = request
      if (to !== undefined) permit(request, 'enqueue', to)
      const selection = selectionOf(chosen)
      const signal = givenUp(request, reply)
      if (dryRun) {
        const work = { action: 'redrive', state: null, selection } as const
        return matchedJson(await broker.countMatches(caller, queue, work, signal))
      }
      if (ratePerSecond !== undefined) {
        const wanted = { selection, to: to ?? null, ratePerSecond, kind: 'redrive' } as const
        const task = await broker.startRedrive(caller, queue, wanted)
        return reply.code(202).send({ task })
      }
      return { redriven: await broker.redrive(caller, queue, { selection, to: to ?? null, signal }) }
    }
  })

  app.route({
    ...redriveOperations.listRedrives,
    handler: async ({ caller, params: { queue } }) => ({
      redrives: await broker.listRedrives(caller, queue)
    })
  })

  app.route({
    ...redriveOperations.stopRedrive,
    async handler({ caller, params: { queue, task } }, reply) {
      await broker.stopRedrive(caller, queue, task)
      return reply.code(204).send(null)
    }
  })
}
