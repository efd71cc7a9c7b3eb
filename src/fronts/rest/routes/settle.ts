/**
 * Routes that settle leases: ack, fail, extend, release. One shape for all four: one receipt, or a
 * list of them.
 */
import type { Broker } from '../../../core/broker.ts'
import { QueueError } from '../../../core/errors.ts'
import { listMax } from '../../../core/limits.ts'
import type { Outcome, Settlement } from '../../../core/verbs/settle.ts'
import { problemResponses } from '../common.ts'
import { Settle, SettleAnswer } from '../contract/lease.ts'
import { QueueParams } from '../contract/shapes.ts'
import type { Server } from '../server.ts'
import { validator } from '../validation.ts'

const lastReceipt = '{receipt}'

export function settleRoutes(app: Server, broker: Broker): void {
  for (const verb of Object.keys(Settle) as (keyof typeof Settle)[]) {
    const { one, many, list, summary, description, example } = Settle[verb]
    const checkOne = validator<Settlement>(one)
    const checkMany = validator<Record<string, (Settlement | string)[]>>(many)

    app.post(
      `/queues/:queue/${verb}`,
      {
        config: { access: 'lease', settles: true, makesRoom: true },
        schema: {
          operationId: verb,
          summary,
          params: QueueParams,
          description:
            `${description} Takes one receipt, or up to ${listMax} in \`${list}\`. A receipt is ` +
            'good until its message is leased again; after that the answer is ' +
            '`leaseLost` and nothing is changed.',
          body: {
            content: {
              'application/json': {
                schema: { anyOf: [one, many], examples: [{ receipt: lastReceipt, ...example }] }
              }
            }
          },
          response: { 200: SettleAnswer, ...problemResponses(400, 404, 409, 413, 415, 503) }
        },
        validatorCompiler: ({ schema, httpPart }) =>
          httpPart === 'body' ? () => true : (app.validatorCompiler!({ schema, httpPart } as never) as never)
      },
      async request => {
        const {
          body,
          params: { queue }
        } = request
        if (typeof body === 'object' && body !== null && list in body) {
          const items = checkMany(body)[list]!.map(item =>
            typeof item === 'string' ? { receipt: item } : item
          )
          const outcomes = await broker[verb](queue, items, index =>
            list === 'receipts' ? `/receipts/${index}` : `/${list}/${index}/receipt`
          )
          return {
            outcomes: outcomes.map((outcome, index) => ({ receipt: items[index]!.receipt, ...outcome }))
          }
        }
        const [outcome] = await broker[verb](queue, [checkOne(body)], () => '/receipt')
        refuse(verb, outcome!)
        return outcome!
      }
    )
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
    throw new QueueError('gone', 'The message is gone: acked, purged or expired. Stop working on it.')
  }
}
