/** Shapes of the groups of a queue. */
import { Type } from 'typebox'
import {
  groupCursorCharsMax,
  groupExaminedMax,
  groupRowsMax,
  groupsExaminedMax
} from '../../../core/limits.ts'
import { openStates } from '../../../core/counters.ts'
import { operations, problemResponses } from './operation.ts'
import { maybe, nextCursor, object, orNull, QueueParams, time } from './shapes.ts'

const written = groupExaminedMax.toLocaleString('en')

const First = Type.Object({
  id: Type.String(),
  state: Type.Enum([...openStates], { description: 'The state of the message.' }),
  attempt: Type.Integer({ description: 'Its attempts so far. 0: the message was never leased.' }),
  until: orNull(time('When its lease or its delay ends. null: the message is ready.'))
})

const Group = Type.Object({
  group: orNull(Type.String(), {
    description: 'Its name. null: the messages without a group, or the whole queue if it is one group.'
  }),
  waiting: Type.Integer({ description: 'Its messages that are ready or delayed.' }),
  leased: Type.Integer({ description: 'Its messages that are leased.' }),
  more: Type.Boolean({ description: `true: only its first ${written} messages were counted.` }),
  nextTokenAt: orNull(
    time('When ratePerGroup allows its next lease. null: it does now, or there is no such rate.')
  ),
  first: orNull(First, {
    description:
      'Of the messages counted, the one that goes first. In a queue with an order the others wait for it, ' +
      'whatever its state.'
  })
})

export const GroupsQuery = object(
  {
    limit: maybe(Type.Integer({ minimum: 1, maximum: groupRowsMax, default: groupRowsMax })),
    cursor: maybe(
      Type.String({ minLength: 1, maxLength: groupCursorCharsMax, description: 'From the page before.' })
    )
  },
  { title: 'GroupsQuery' }
)

export const GroupList = Type.Object(
  { groups: Type.Array(Group), cursor: nextCursor },
  { title: 'GroupList', description: 'A page of groups, by name.' }
)

export const groupOperations = operations({
  listGroups: {
    method: 'GET',
    url: '/queues/:queue/groups',
    config: { access: 'browse' },
    schema: {
      summary: 'List the groups of a queue',
      description:
        'In a queue with an order, with turns or with limits of groups, ' +
        'those groups whose messages wait or hold others up. ' +
        'In any other queue the list is empty. ' +
        `Of each group, the first ${written} messages are examined, dead ones too. ` +
        `For a page, at most ${groupsExaminedMax.toLocaleString('en')} groups are examined, so a page may ` +
        'be short, or empty, and have a cursor.',
      params: QueueParams,
      querystring: GroupsQuery,
      response: { 200: GroupList, ...problemResponses(400, 'queueNotFound') }
    }
  }
})
