/** What a replica counts in memory. */
import t from 'tap'
import { ReplicaStats } from '../../src/core/engine/replicaStats.ts'

t.test('who asked for messages is known until the series has been written', async t => {
  const stats = new ReplicaStats()
  stats.asked('7')
  const askedMs = stats.askedMs('7')!
  t.ok(Math.abs(askedMs - Date.now()) < 1000)
  t.ok(stats.take().get('7')!.askedMs > 0)
  t.ok(Math.abs(stats.askedMs('7')! - askedMs) < 1000, 'the series is not written yet')
  stats.take()
  t.equal(stats.askedMs('7'), null)
})
