/** Shapes of failures grouped by reason. */
import { Type } from 'typebox'
import {
  countSecondsMax,
  failureGroupsMax,
  failureReasonCharsMax,
  failuresExaminedMax,
  listMax
} from '../../../core/limits.ts'
import { failingStates } from '../../../core/message.ts'
import { operations, problemResponses } from './operation.ts'
import { maybe, messageId, object, orNull, QueueParams, time } from './shapes.ts'

const FailingStateName = Type.Enum([...failingStates], {
  description:
    'dead; delayed: waits for a retry after a failure; ' +
    'ready: its death brought it to this dead-letter queue, where it waits.'
})

export const FailuresQuery = object({ state: maybe(FailingStateName) }, { title: 'FailuresQuery' })

const FailureGroup = Type.Object({
  state: FailingStateName,
  reason: orNull(Type.String(), {
    description:
      'The common reason, with numbers and ids as `#` and quoted parts as `…`. null: no reason was given.'
  }),
  count: Type.Integer({ description: 'How many messages the group has.' }),
  firstAt: time('When the first of these attempts ended.'),
  lastAt: time('When the last of them ended.'),
  example: Type.Object(
    {
      id: messageId,
      attempt: Type.Integer(),
      at: time('When the attempt ended.'),
      reason: orNull(Type.String(), {
        description: `The first ${failureReasonCharsMax} characters of the reason, as the worker gave it.`
      })
    },
    { description: 'The message whose attempt ended last.' }
  ),
  piece: orNull(Type.String(), {
    description:
      'A text that all reasons of the group contain, for a filter by `reason`. ' +
      'Reasons of other groups may contain it too. null: there is none.'
  }),
  ids: Type.Array(messageId, {
    description:
      'All messages of the group. A redrive or retry of these `ids` takes no others. ' +
      `One call takes up to ${listMax.toLocaleString('en')}.`
  })
})

const examinedMax = failuresExaminedMax.toLocaleString('en')

export const Failures = Type.Object(
  {
    groups: Type.Array(FailureGroup, {
      description: `The largest first, at most ${failureGroupsMax}.`
    }),
    groupsLeftOut: Type.Integer({ description: 'How many smaller groups were left out.' }),
    more: Type.Boolean({
      description:
        'true: only the messages with the lowest ids were examined. Each count is at least that, ' +
        'and groups may be missing.'
    })
  },
  { title: 'Failures', description: 'The groups.' }
)

export const failureOperations = operations({
  listFailures: {
    method: 'GET',
    url: '/queues/:queue/failures',
    config: { access: 'browse' },
    schema: {
      summary: 'Failures by reason',
      description:
        "Groups failed messages by their last failure's reason: dead ones, those that wait for a retry, " +
        'and in a dead-letter queue those that moved there. ' +
        'Reasons that differ only in numbers, ids, quoted parts or white space are one group, ' +
        `and so are those that differ only after ${failureReasonCharsMax} characters. ` +
        'Send the `ids` of a group to retry it if it is `delayed`, or else to redrive it: ' +
        'messages that fail for the same reason later are not touched. ' +
        `It examines at most ${examinedMax} messages in each state, for at most ${countSecondsMax} seconds.`,
      params: QueueParams,
      querystring: FailuresQuery,
      response: { 200: Failures, ...problemResponses(400, 'queueNotFound') }
    }
  }
})
