/** Deliveries of a queue to an HTTP endpoint. */
import { path, type CallOptions } from '../calls.ts'
import { Topics } from './topics.ts'
import type { Push, PushChange, PushReport, PushRotated, PushTest } from '../types.ts'

export class Pushes extends Topics {
  /** The push of a queue, and its last deliveries. Throws `pushNotFound` if there is none. */
  push(queue: string, options?: CallOptions): Promise<PushReport> {
    return this.call('GET', path('queues', queue, 'push'), {}, options)
  }

  /**
   * Has the service deliver a queue to an endpoint, or changes the settings given. For a new push, the
   * answer shows its `secret`, only this once.
   */
  putPush(queue: string, change: PushChange = {}, options?: CallOptions): Promise<Push> {
    return this.call('PUT', path('queues', queue, 'push'), { body: change }, options)
  }

  /** Ends the deliveries of a queue. Its messages stay. */
  async deletePush(queue: string, options?: CallOptions): Promise<void> {
    await this.call('DELETE', path('queues', queue, 'push'), {}, options)
  }

  /** Sends a test request to the endpoint, and answers what came of it. No message is touched. */
  testPush(queue: string, options?: CallOptions): Promise<PushTest> {
    return this.call('POST', path('queues', queue, 'push', 'test'), {}, options)
  }

  /**
   * Makes a new secret. The answer shows it, only this once. The old secret signs too, for 24 hours.
   * The client does not repeat this call, because a second rotation would end the old secret.
   */
  rotatePush(queue: string, options?: CallOptions): Promise<PushRotated> {
    return this.call('POST', path('queues', queue, 'push', 'rotate'), {}, { retrySeconds: 0, ...options })
  }
}
