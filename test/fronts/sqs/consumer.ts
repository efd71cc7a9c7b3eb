/** A worker on sqs-consumer. Each message that it has handled is a line of the file RUNS. */
import { appendFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { SQSClient } from '@aws-sdk/client-sqs'
import { Consumer } from 'sqs-consumer'

const { URL, QUEUE_URL, RUNS } = process.env
const consumer = Consumer.create({
  queueUrl: QUEUE_URL!,
  sqs: new SQSClient({
    endpoint: URL!,
    region: 'us-east-1',
    credentials: { accessKeyId: 'any', secretAccessKey: 'any' }
  }),
  batchSize: 2,
  waitTimeSeconds: 20,
  // The consumer waits this long after a refused connection too.
  authenticationErrorTimeout: 200,
  async handleMessage(message) {
    await sleep(100)
    await appendFile(RUNS!, `${message.Body} ${Date.now()}\n`)
    return message
  }
})
// Without a listener, an error would end the process. With one, the consumer goes on.
consumer.on('error', () => {})
consumer.start()
