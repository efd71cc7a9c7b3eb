/**
 * Routes that settle leases: ack, fail, extend, release. One shape for all four: one receipt, or a
 * list of them.
 */
import type { Broker } from '../../../core/broker.ts'
import { QueueError } from '../../../core/errors.ts'
import type { Outcome, Settlement } from '../../../core/verbs/settle.ts'
import { problemResponses } from '../common.ts'
import { QueueParams, Settle, SettleAnswer } from '../schemas.ts'
import type { Server } from '../server.ts'
import { validator } from '../validation.ts'

const lastReceipt = '{receipt}'

const texts = {
  ack: {
    summary: 'Ack: the work is done',
    description: 'Removes the message. Safe to send twice.',
    example: { receipt: lastReceipt }
  },
  fail: {
    summary: 'Fail: it did not work out',
    description:
      "The message is retried after the queue's delay for this attempt, or after `delaySeconds`; " +
      'after the last attempt, or with `dead`, it is dead.',
    example: { receipt: lastReceipt, reason: 'the mail server said no' }
  },
  extend: {
    summary: 'Extend the lease',
    description: 'The lease ends so long from now. `leaseLost` and `gone` are 409: stop working on it.',
    example: { receipt: lastReceipt, leaseSeconds: 60 }
  },
  release: {
    summary: 'Release: give it back',
    description: 'The message is ready again at once, and the attempt does not count.',
    example: { receipt: lastReceipt }
  }
}

export function settleRoutes(app: Server, broker: Broker): void {
  for (const verb of ['ack', 'fail', 'extend', 'release'] as const) {
    const { one, many, list } = Settle[verb]
    const { summary, description, example } = texts[verb]
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
            `${description} Takes one receipt, or up to 1000 in \`${list}\`. A receipt is ` +
            'good until its message is leased again; after that the answer is ' +
            '`leaseLost` and nothing is changed.',
          body: { content: { 'application/json': { schema: { anyOf: [one, many], examples: [example] } } } },
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
          const outcomes = await broker.settle(verb, queue, items, index =>
            list === 'receipts' ? `/receipts/${index}` : `/${list}/${index}/receipt`
          )
          return {
            outcomes: outcomes.map((outcome, index) => ({ receipt: items[index]!.receipt, ...outcome }))
          }
        }
        const [outcome] = await broker.settle(verb, queue, [checkOne(body)], () => '/receipt')
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
