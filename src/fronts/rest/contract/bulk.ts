/** Shapes of the bulk actions: which messages they take, and how many they changed. */
import { Type, type Static } from 'typebox'
import { listMax, messageIdCharsMax } from '../../../core/limits.ts'
import type { PlainBulkWork } from '../../../core/verbs/bulk.ts'
import { filter } from './messages.ts'
import { bodyOptional, operations, problemResponses } from './operation.ts'
import { maybe, object, QueueParams, StateName } from './shapes.ts'

export const selection = {
  ids: maybe(
    Type.Array(Type.String({ minLength: 1, maxLength: messageIdCharsMax, pattern: '^\\d+$' }), {
      minItems: 1,
      maxItems: listMax,
      description: 'Only the messages with these ids.'
    })
  ),
  where: maybe(
    object(filter, {
      minProperties: 1,
      description: 'Only messages for which all of these conditions are true.'
    })
  ),
  limit: maybe(Type.Integer({ minimum: 1, description: 'At most this many, the lowest ids first.' })),
  dryRun: maybe(Type.Boolean({ description: 'true: change nothing, and answer how many messages match.' }))
}

export const Matched = Type.Object(
  {
    matched: Type.Integer({ description: 'How many messages the call would change now.' }),
    more: maybe(
      Type.Literal(true, {
        description: 'Counting stopped at its time limit. The real number is at least `matched`.'
      })
    )
  },
  { title: 'Matched' }
)

/** The answer of a bulk action: the number under the name `done`, or what a dry run counted. */
export const bulkAnswer = (title: string, done: string, description: string) =>
  Type.Union([Type.Object({ [done]: Type.Integer() }), Matched], { title, description })

const PurgeRequest = object(
  { state: maybe(StateName), ...selection },
  { title: 'PurgeRequest', examples: [{ dryRun: true }] }
)
const RetryRequest = object(selection, { title: 'RetryRequest', examples: [{ limit: 100 }] })

/** A redrive takes more than the others. It is in redrives.ts. */
export type PlainBulkAction = PlainBulkWork['action']

/** What any of the actions takes. Only a purge takes a state. */
export type BulkRequest = Static<typeof PurgeRequest>
/** The number under its name, such as `purged`; or what a dry run counted. */
export type BulkAnswer = Record<string, number> | Static<typeof Matched>

/**
 * The bulk actions: their shapes, the name of the number in the answer, and what the documents say.
 */
export const Bulk = {
  retry: {
    request: RetryRequest,
    answer: bulkAnswer('RetryAnswer', 'retried', 'How many messages became ready.'),
    done: 'retried',
    summary: 'Retry messages now',
    description:
      'Makes delayed messages ready now, also those that wait for a retry, as if they had come due.'
  },
  purge: {
    request: PurgeRequest,
    answer: bulkAnswer('PurgeAnswer', 'purged', 'How many messages were removed.'),
    done: 'purged',
    summary: 'Purge messages',
    description:
      'Removes messages: all, or those of one state, leased and kept acked ones too. ' +
      'With `ids` it removes only those that are not leased, so it cancels many at once.'
  }
} as const satisfies Record<PlainBulkAction, object>

export const selecting =
  'The call acts on the messages that are there when it begins: on all of them, or on those that ' +
  '`ids` and `where` select, up to `limit`. It commits in chunks. If it is cut short, finished chunks ' +
  'stay done, and the same call goes on with the rest. ' +
  '`dryRun` changes nothing and answers how many messages match.'

/** The operation of one bulk action. */
export function bulkOperation(action: PlainBulkAction) {
  const { request, answer, summary, description } = Bulk[action]
  return operations({
    [action]: {
      method: 'POST',
      url: `/queues/:queue/${action}`,
      config: { access: 'manage' },
      preValidation: bodyOptional,
      schema: {
        summary,
        description: `${description} ${selecting}`,
        params: QueueParams,
        body: Type.Unsafe<BulkRequest>(request),
        response: {
          200: Type.Unsafe<BulkAnswer>(answer),
          ...problemResponses(400, 'queueNotFound', 413, 415)
        }
      }
    }
  })[action]!
}
