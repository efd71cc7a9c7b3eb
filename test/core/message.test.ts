/** The rules of messages and receipts that hold for every front. */
import t from 'tap'
import { filterOf, isId, newMessage, type NewMessage } from '../../src/core/message.ts'
import { checkChange } from '../../src/core/schedule.ts'
import { formatReceipt, parseReceipt } from '../../src/core/receipt.ts'

const message = (fields: Partial<NewMessage>): NewMessage =>
  newMessage({ body: '1', contentType: null, ...fields }, '/messages/3')
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString()
const refusal = (code: string, pointer: string) => ({ code, faults: [{ pointer }] })

t.test('a message that breaks a rule is refused with a pointer to it', async t => {
  const dayMs = 86_400_000
  const at = (field: string) => refusal('invalidRequest', `/messages/3/${field}`)
  for (const visibleAt of ['soon', '1969-12-31T23:59:59Z', inMs(366 * dayMs)]) {
    t.throws(() => message({ visibleAt }), at('visibleAt'), visibleAt)
  }
  t.throws(() => message({ visibleAt: inMs(dayMs), delaySeconds: 1 }), at('visibleAt'))
  t.throws(() => message({ contentType: 'a'.repeat(257) }), at('contentType'))
  const tooLarge = refusal('bodyTooLarge', '/messages/3/body')
  t.throws(() => message({ body: 'é'.repeat(524_289) }), tooLarge, 'sizes are in bytes, not characters')
  t.throws(() => message({ body: Buffer.alloc(1_048_577) }), tooLarge)
  t.throws(
    () => newMessage({ body: '1', contentType: 'a'.repeat(257) }, 'query', 'header/content-type'),
    refusal('invalidRequest', 'header/content-type')
  )
})

t.test('a message within the rules is kept, its time as the store takes it', async t => {
  t.strictSame(message({ body: 'é'.repeat(524_288), contentType: 'a'.repeat(256) }).priority, undefined)
  t.equal(message({ visibleAt: '2020-01-01T01:00:00+01:00' }).visibleAt, '2020-01-01T00:00:00.000Z')
  t.equal(message({ delaySeconds: 5 }).delaySeconds, 5)
})

t.test('a filter takes times from 1970 on', async t => {
  t.strictSame(filterOf({ enqueuedAfter: '1970-01-01T00:00:00Z', reason: 'r' }, 'query'), {
    contains: null,
    reason: 'r',
    enqueuedAfter: '1970-01-01T00:00:00.000Z',
    enqueuedBefore: null,
    group: null
  })
  t.throws(
    () => filterOf({ enqueuedBefore: 'then' }, '/where'),
    refusal('invalidRequest', '/where/enqueuedBefore')
  )
})

t.test('an id is a number that 64 bits hold, written in one way', async t => {
  for (const id of ['0', '1', '9223372036854775807']) t.ok(isId(id), id)
  for (const id of ['', '-1', '01', '1.0', '1e3', ' 1', '9223372036854775808', '9'.repeat(99)]) {
    t.notOk(isId(id), id)
  }
})

t.test('a receipt is read by the queue that gave it, and only whole', async t => {
  const lease = { queueId: '7', id: '123456789012345678', fence: '3' }
  const receipt = formatReceipt('mail', lease)
  t.strictSame(parseReceipt('mail', receipt, '/receipt'), lease)
  for (const damaged of [receipt.slice(0, -1), `${receipt}0`, receipt.replace('7.', '8.'), '']) {
    t.throws(() => parseReceipt('mail', damaged, '/receipt'), refusal('invalidReceipt', '/receipt'), damaged)
  }
  t.throws(() => parseReceipt('mails', receipt, '/receipt'), refusal('invalidReceipt', '/receipt'))
})

t.test('a schedule takes no header that it sets itself, and no larger body than a message', async t => {
  t.throws(
    () => checkChange({ headers: { 'holdfast-scheduled-for': 'x' } }),
    refusal('invalidRequest', '/headers/holdfast-scheduled-for')
  )
  t.throws(() => checkChange({ body: 'a'.repeat(1_048_577) }), refusal('bodyTooLarge', '/body'))
  t.doesNotThrow(() => checkChange({ headers: { subject: 'x' }, body: '1' }))
})
