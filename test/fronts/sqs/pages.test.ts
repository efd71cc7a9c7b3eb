/** Pages of names: what one reads. */
import t from 'tap'
import { listQueues } from '../../../src/fronts/sqs/queues.ts'

t.test('a list reads as many queues as it was asked for, and no more of them than names', async t => {
  const limits: number[] = []
  const broker = {
    async listQueueNames(_caller: object, { limit }: { limit: number }) {
      limits.push(limit)
      return { names: ['a'], next: 'a' }
    }
  }
  const call = { broker, origin: 'http://localhost', request: { key: null } }
  const { QueueUrls } = await listQueues(call as never, { MaxResults: 1 })
  t.strictSame(QueueUrls, ['http://localhost/000000000000/a'])
  t.strictSame(limits, [1])
})
