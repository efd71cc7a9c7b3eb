/** The ring of API keys, on the pure class. */
import { createHash } from 'node:crypto'
import t from 'tap'
import { ApiKeyRing } from '../../src/core/apiKey.ts'

t.test('a key that can no longer be checked is not trusted', async t => {
  let nowMs = 0
  const ring = new ApiKeyRing(null, () => nowMs)
  const secret = `hf_0123456789_${'a'.repeat(43)}`
  ring.replace([
    {
      id: '0123456789',
      name: '',
      digest: createHash('sha256').update(secret).digest(),
      rights: ['admin'],
      requestsPerSecond: null,
      messagesPerSecond: null,
      createdAt: ''
    }
  ])
  t.equal(ring.identify(secret)!.isAdmin, true)
  nowMs += 5000
  t.throws(() => ring.identify(secret), { code: 'databaseUnavailable', outcome: 'none' })
  ring.replace([])
  t.equal(ring.identify(secret), null)
  t.ok(ring.inForce)
})
