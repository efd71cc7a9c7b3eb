/** What processes of a replica tell one another of their callers. */
import t from 'tap'
import { Activity } from '../../src/core/engine/activity.ts'
import { startGossip } from '../../src/core/engine/gossip.ts'
import { noSiblings, type Siblings } from '../../src/core/engine/siblings.ts'
import { callerNamed, shareOf } from '../support/callers.ts'

t.test('callers at another process are others, and a caller is itself at each of them', t => {
  const hearers: ((from: string, bound: string, callers: [string, number][]) => void)[] = []
  const siblings = {
    ...noSiblings,
    alone: false,
    hear: (kind: string, hearer: never) => kind === 'held' && hearers.push(hearer)
  } as unknown as Siblings
  const activity = new Activity()
  const stop = startGossip(siblings, [shareOf(10)], null, { interest: { tidy() {} } as never, activity })
  t.teardown(stop)
  activity.note('a')
  for (const hear of hearers) hear('1', 'things', [['a', 3]])
  t.notOk(activity.hasOthers(callerNamed('a')))
  for (const hear of hearers) hear('1', 'things', [['b', 0]])
  t.ok(activity.hasOthers(callerNamed('a')))
  t.end()
})
