/** The grouping of very many failures, and others who call meanwhile. */
import t from 'tap'
import { oneByOne } from '../../src/core/engine/oneByOne.ts'
import type { FailedMessage } from '../../src/core/ports.ts'
import { callerNamed, tester } from '../support/callers.ts'
import { never, poolA, queue, replica } from './setup.ts'

t.test('while thousands of long reasons are grouped, another caller has its turns', async t => {
  const count = 2000
  const { name } = await queue()
  const failed = Array.from({ length: count }, (_, n): FailedMessage => {
    return { id: String(n + 1), attempt: 1, at: '2026-01-01T00:00:00Z', reason: '一'.repeat(490) + n }
  })
  let turns = 0
  let isOver = false
  const takeTurns = () => {
    turns++
    if (!isOver) oneByOne(callerNamed('other'), takeTurns)
  }
  const verbs = {
    async findFailed() {
      oneByOne(callerNamed('other'), takeTurns)
      return { failed, examined: count, cursor: null }
    }
  }
  const { broker, stop } = replica(poolA, { verbs })
  const { groups } = await broker.failures(tester, name, ['dead'], never)
  isOver = true
  t.match(groups, [{ count }])
  t.ok(turns >= count / 100, `${turns} turns`)
  await stop()
})
