/** Actions on many messages. */
import { path, type CallOptions } from '../calls.ts'
import { Queues } from './queues.ts'
import type {
  PurgeAnswer,
  PurgeRequest,
  RedriveAnswer,
  RedriveList,
  RedriveRequest,
  RetryAnswer,
  RetryRequest
} from '../types.ts'

type AtOnce = Omit<RedriveRequest, 'ratePerSecond'>
type AtRate = Omit<RedriveRequest, 'dryRun'> & { ratePerSecond: number }

export class Bulk extends Queues {
  /**
   * Removes messages: all, or those that the request selects, leased ones too. With `ids`, leased
   * messages stay. With `dryRun`, answers only how many match.
   */
  purge(queue: string, request: PurgeRequest = {}, options?: CallOptions): Promise<PurgeAnswer> {
    return this.call('POST', path('queues', queue, 'purge'), { body: request }, options)
  }

  /**
   * Makes dead messages ready again. A message in a dead-letter queue goes home, to the queue in which
   * it died. With `to`, all messages go to that queue.
   */
  redrive(queue: string, request: AtOnce = {}, options?: CallOptions): Promise<RedriveAnswer> {
    return this.call('POST', path('queues', queue, 'redrive'), { body: request }, options)
  }

  /**
   * Starts a redrive of `ratePerSecond` messages a second. It goes on in the service. Answers its task.
   * Throws `redriveRunning` if one is running already.
   */
  startRedrive(queue: string, request: AtRate, options?: CallOptions): Promise<{ task: string }> {
    return this.call('POST', path('queues', queue, 'redrive'), { body: request }, options)
  }

  /** The redrives of a queue that were started with a rate, the newest first. */
  async redrives(queue: string, options?: CallOptions): Promise<RedriveList['redrives']> {
    return (await this.call<RedriveList>('GET', path('queues', queue, 'redrives'), {}, options)).redrives
  }

  /** Stops a redrive with a rate. Messages that it has redriven stay ready. */
  async stopRedrive(queue: string, task: string, options?: CallOptions): Promise<void> {
    await this.call('DELETE', path('queues', queue, 'redrives', task), {}, options)
  }

  /** Makes delayed messages ready now, also those that wait for a retry. */
  retry(queue: string, request: RetryRequest = {}, options?: CallOptions): Promise<RetryAnswer> {
    return this.call('POST', path('queues', queue, 'retry'), { body: request }, options)
  }
}
