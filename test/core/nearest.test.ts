/** Suggestions: what looks like the word, and nothing at all when nothing does. */
import t from 'tap'
import { nearest } from '../../src/core/nearest.ts'

t.test('the name that looks most like the word is suggested, unless none looks like it', async t => {
  const fields = ['body', 'headers', 'priority', 'delaySeconds', 'visibleAt', 'ttlSeconds', 'idempotencyKey']
  const expected: [string, string | null][] = [
    ['prority', 'priority'],
    ['delay', 'delaySeconds'],
    ['delay_seconds', 'delaySeconds'],
    ['delayMs', 'delaySeconds'],
    ['header', 'headers'],
    ['idempotency-key', 'idempotencyKey'],
    ['VISIBLEAT', 'visibleAt'],
    ['colour', null],
    ['x', null],
    ['', null],
    ['__proto__', null],
    ['messageAttributes', null]
  ]
  for (const [word, name] of expected) t.equal(nearest(word, fields), name, word)
  t.equal(nearest('word', []), null)
})
