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
  /** Removes messages. */
  purge(queue: string, request: PurgeRequest = {}, options?: CallOptions): Promise<PurgeAnswer> {
    return this.call('POST', path('queues', queue, 'purge'), { body: request }, options)
  }

  /** Messages that died are ready again: each at home, in the queue `to`, or where it is. */
  redrive(queue: string, request: AtOnce = {}, options?: CallOptions): Promise<RedriveAnswer> {
    return this.call('POST', path('queues', queue, 'redrive'), { body: request }, options)
  }

  /** Starts a redrive that keeps to a rate, and answers its task. */
  startRedrive(queue: string, request: AtRate, options?: CallOptions): Promise<{ task: string }> {
    return this.call('POST', path('queues', queue, 'redrive'), { body: request }, options)
  }

  /** The redrives of a queue that keep to a rate, the newest first. */
  async redrives(queue: string, options?: CallOptions): Promise<RedriveList['redrives']> {
    return (await this.call<RedriveList>('GET', path('queues', queue, 'redrives'), {}, options)).redrives
  }

  /** Stops a redrive with a rate. What it has done stays done. */
  async stopRedrive(queue: string, task: string, options?: CallOptions): Promise<void> {
    await this.call('DELETE', path('queues', queue, 'redrives', task), {}, options)
  }

  /** Makes delayed and backing-off messages ready now. */
  retry(queue: string, request: RetryRequest = {}, options?: CallOptions): Promise<RetryAnswer> {
    return this.call('POST', path('queues', queue, 'retry'), { body: request }, options)
  }
}
