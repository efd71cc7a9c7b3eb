/** Handlers that settle leases. All settling verbs are alike: one receipt, or a list of them. */
import type { Broker } from '../../../core/broker.ts'
import { QueueError } from '../../../core/errors.ts'
import type { SettleVerb } from '../../../core/ports.ts'
import type { Outcome, Settlement } from '../../../core/verbs/settle.ts'
import { Settle, settleOperation } from '../contract/settle.ts'
import type { Server } from '../../shared/server.ts'
import { uncheckedBody, validator } from '../validation.ts'

export function settleRoutes(app: Server, broker: Broker): void {
  for (const verb of Object.keys(Settle) as SettleVerb[]) {
    const { one, many, list } = Settle[verb]
    const checkOne = validator<Settlement>(one)
    const checkMany = validator<Record<string, (Settlement | string)[]>>(many)
    const pointerTo = (index: number) =>
      list === 'receipts' ? `/receipts/${index}` : `/${list}/${index}/receipt`

    app.route({
      ...settleOperation(verb),
      validatorCompiler: uncheckedBody,
      // One of several shapes: the serializer of the schema would try one after another.
      serializerCompiler: () => JSON.stringify,
      async handler({ caller, body, params: { queue } }) {
        if (typeof body === 'object' && body !== null && list in body) {
          const settlements = checkMany(body)[list]!.map(item =>
            typeof item === 'string' ? { receipt: item } : item
          )
          const outcomes = await broker.settle(caller, verb, queue, settlements, pointerTo)
          return {
            outcomes: outcomes.map((outcome, index) => ({ receipt: settlements[index]!.receipt, ...outcome }))
          }
        }
        const [outcome] = await broker.settle(caller, verb, queue, [checkOne(body)], () => '/receipt')
        refuse(verb, outcome!)
        return outcome!
      }
    })
  }
}

// Alone, a lost lease is an error, so that a worker that looks at the status only notices it.
function refuse(verb: string, { outcome }: Outcome): void {
  if (outcome === 'leaseLost') {
    throw new QueueError(
      'leaseLost',
      'The lease has ended, or the message has been leased again since; nothing was changed. Stop ' +
        'working on it.'
    )
  }
  if (outcome === 'gone' && verb === 'extend') {
    throw new QueueError(
      'gone',
      'The message is gone: acked, purged, expired or moved to another queue. Stop working on it.'
    )
  }
}
