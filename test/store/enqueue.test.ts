/** Each message is stored as it was given, whichever statement stores its flush. */
import t from 'tap'
import { openDatabase } from '../../src/store/database.ts'
import { enqueue } from '../../src/store/verbs/enqueue.ts'
import { putQueue } from '../../src/store/verbs/putQueue.ts'
import { findQueue } from '../../src/store/verbs/queues.ts'
import { bareMessage } from '../support/bareMessage.ts'
import { freshDatabase } from '../support/postgres.ts'

const text = { ...bareMessage, body: 'text', contentType: 'text/plain' }
const withHeaders = { ...bareMessage, headers: { a: 'ä "quoted"', b: '' } }
const withNoHeaders = { ...bareMessage, headers: {} }
const bytes = { ...bareMessage, body: Buffer.from([0, 255]), contentType: 'application/octet-stream' }
const limited = { ...bareMessage, maxAttempts: 7, headers: { c: '1' } }

t.test('messages that share a flush keep what each has', async t => {
  const { url } = await freshDatabase(t)
  const database = openDatabase({ connectionString: url }, { poolSize: 2, onError: () => {} })
  t.teardown(() => database.close())
  await putQueue(database, 'kept', {})
  const queueId = (await findQueue(database, 'kept'))!.id

  const flushes = {
    bare: [bareMessage, { ...bareMessage, body: '2' }],
    typed: [bareMessage, text, withHeaders, withNoHeaders],
    described: [bareMessage, text, withHeaders, withNoHeaders, bytes, limited]
  }
  for (const [name, messages] of Object.entries(flushes)) {
    const answers = await enqueue(
      database,
      messages.map(message => ({ ...message, queueId }))
    )
    const rows = await database.query(
      'select body, body_bytes, content_type, headers, max_attempts from holdfast.messages ' +
        'where queue_id = $1 and id = any($2) order by id',
      [queueId, answers.map(answer => answer!.id)]
    )
    const expected = messages.map(({ body, contentType, headers, maxAttempts }) => ({
      body: typeof body === 'string' ? body : null,
      body_bytes: typeof body === 'string' ? null : body,
      content_type: contentType,
      headers: headers === undefined || Object.keys(headers).length === 0 ? null : headers,
      max_attempts: maxAttempts ?? null
    }))
    t.strictSame(rows, expected, name)
  }
})
