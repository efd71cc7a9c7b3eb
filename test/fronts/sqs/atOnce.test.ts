/** Calls to two replicas at once, each in a session of its own: none undoes what another one did. */
import t from 'tap'
import { connect, untilBlocked } from '../../faults/setup.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { service } from '../../support/service.ts'
import { jsonCaller, type OperationName } from './callers.ts'

const database = await freshDatabase(t)
const replicas = [await service(t, { database }), await service(t, { database })]
const [call, other] = replicas.map(({ url }) => jsonCaller(t, url)) as [SqsCaller, SqsCaller]
const holder = await connect(t, database.url)
const watcher = await connect(t, database.url)

type SqsCaller = ReturnType<typeof jsonCaller>
type Sent = [OperationName, Record<string, unknown>]

/** Both calls have come before either can change the queue. Answers the codes of their refusals. */
async function atOnce(QueueUrl: string, first: Sent, second: Sent): Promise<string[]> {
  const answer = (caller: SqsCaller, [operation, input]: Sent) =>
    caller(operation, { QueueUrl, ...input }).then(
      () => '',
      error => error.code as string
    )
  await holder.query('begin')
  const name = QueueUrl.split('/').at(-1)
  await holder.query('select from holdfast.queues where name = $1 for no key update', [name])
  const answers = [answer(call, first)]
  await untilBlocked(watcher, 1)
  answers.push(answer(other, second))
  await untilBlocked(watcher, 2)
  await holder.query('commit')
  return await Promise.all(answers)
}

const queue = async (QueueName: string, more: object = {}): Promise<string> =>
  (await call('CreateQueue', { QueueName, ...more })).QueueUrl
const add = (Label: string): Sent => [
  'AddPermission',
  { Label, AWSAccountIds: ['111111111111'], Actions: ['SendMessage'] }
]

t.test('permissions are all kept', async t => {
  const QueueUrl = await queue('permitted')
  const labels = async () => {
    const { Attributes } = await call('GetQueueAttributes', { QueueUrl, AttributeNames: ['Policy'] })
    return JSON.parse(Attributes.Policy)
      .Statement.map(({ Sid }: { Sid: string }) => Sid)
      .sort()
  }
  t.strictSame(await atOnce(QueueUrl, add('a'), add('b')), ['', ''])
  t.strictSame(await labels(), ['a', 'b'])
  t.strictSame(await atOnce(QueueUrl, ['RemovePermission', { Label: 'a' }], add('c')), ['', ''])
  t.strictSame(await labels(), ['b', 'c'])
  const twice = await atOnce(
    QueueUrl,
    ['RemovePermission', { Label: 'b' }],
    ['RemovePermission', { Label: 'b' }]
  )
  t.strictSame(twice.sort(), ['', 'InvalidParameterValue'])
})

t.test('tags do not pass their number', async t => {
  const tags = Object.fromEntries(Array.from({ length: 49 }, (_, i) => [`t${i}`, '']))
  const QueueUrl = await queue('tagged', { tags })
  const tag = (name: string): Sent => ['TagQueue', { Tags: { [name]: '' } }]
  t.strictSame((await atOnce(QueueUrl, tag('a'), tag('b'))).sort(), ['', 'InvalidParameterValue'])
  t.equal(Object.keys((await call('ListQueueTags', { QueueUrl })).Tags).length, 50)
})

t.test('attributes that exclude each other are not both set', async t => {
  const QueueUrl = await queue('scoped.fifo', {
    Attributes: { FifoQueue: 'true', DeduplicationScope: 'messageGroup' }
  })
  const set = (name: string, value: string): Sent => ['SetQueueAttributes', { Attributes: { [name]: value } }]
  const answers = await atOnce(
    QueueUrl,
    set('FifoThroughputLimit', 'perMessageGroupId'),
    set('DeduplicationScope', 'queue')
  )
  t.strictSame(answers.sort(), ['', 'InvalidAttributeValue'])
})

t.test('a change makes no queue that is deleted meanwhile', async t => {
  for (const change of [
    ['SetQueueAttributes', { Attributes: { VisibilityTimeout: '7' } }],
    ['TagQueue', { Tags: { a: 'b' } }]
  ] as Sent[]) {
    const QueueUrl = await queue('deleted')
    const gone = 'AWS.SimpleQueueService.NonExistentQueue'
    t.strictSame(await atOnce(QueueUrl, ['DeleteQueue', {}], change), ['', gone])
    t.strictSame(await call('ListQueues', { QueueNamePrefix: 'deleted' }), {})
  }
})
