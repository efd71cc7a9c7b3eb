/** Deliveries of a queue to an HTTP endpoint. */
import { path, type CallOptions } from '../calls.ts'
import { Topics } from './topics.ts'
import type { Push, PushChange, PushReport, PushRotated, PushTest } from '../types.ts'

export class Pushes extends Topics {
  /** The push of a queue, and its last deliveries. Refused with `pushNotFound` where there is none. */
  push(queue: string, options?: CallOptions): Promise<PushReport> {
    return this.call('GET', path('queues', queue, 'push'), {}, options)
  }

  /** Has a queue delivered to an endpoint, or changes what is given. A new push answers its `secret`. */
  putPush(queue: string, change: PushChange = {}, options?: CallOptions): Promise<Push> {
    return this.call('PUT', path('queues', queue, 'push'), { body: change }, options)
  }

  /** Delivers the queue no more. Its messages stay. */
  async deletePush(queue: string, options?: CallOptions): Promise<void> {
    await this.call('DELETE', path('queues', queue, 'push'), {}, options)
  }

  /** Sends a test to the endpoint, and answers what came of it. */
  testPush(queue: string, options?: CallOptions): Promise<PushTest> {
    return this.call('POST', path('queues', queue, 'push', 'test'), {}, options)
  }

  /**
   * Makes a new secret, shown this once. The call is not repeated by itself, because a second
   * rotation would end the old secret.
   */
  rotatePush(queue: string, options?: CallOptions): Promise<PushRotated> {
    return this.call('POST', path('queues', queue, 'push', 'rotate'), {}, { retrySeconds: 0, ...options })
  }
}
