/** Queues, and how they are doing. */
import { path, type CallOptions } from '../calls.ts'
import { Settling } from './settling.ts'
import type {
  Consumers,
  DeleteQueueQuery,
  Failures,
  FailuresQuery,
  GroupList,
  GroupsQuery,
  QueueList,
  QueueReport,
  QueueSettings,
  QueuesQuery,
  Series
} from '../types.ts'

export class Queues extends Settling {
  /** A page of queues, by name: all, or those whose dead messages go to `deadLetterQueue`. */
  queues(query: QueuesQuery = {}, options?: CallOptions): Promise<QueueList> {
    return this.call('GET', '/queues', { query }, options)
  }

  /** A queue's settings, and the number of messages in each state. */
  queue(queue: string, options?: CallOptions): Promise<QueueReport> {
    return this.call('GET', path('queues', queue), {}, options)
  }

  /** The last hour of a queue: counts, rates, waiting and working times. */
  series(queue: string, options?: CallOptions): Promise<Series> {
    return this.call('GET', path('queues', queue, 'series'), {}, options)
  }

  /** Creates a queue, or changes the settings given. */
  putQueue(queue: string, settings: QueueSettings = {}, options?: CallOptions): Promise<QueueReport> {
    return this.call('PUT', path('queues', queue), { body: settings }, options)
  }

  /** Removes a queue and its messages. With `ifEmpty`, throws `queueNotEmpty` if it holds any. */
  async deleteQueue(queue: string, query: DeleteQueueQuery = {}, options?: CallOptions): Promise<void> {
    await this.call('DELETE', path('queues', queue), { query }, options)
  }

  /** The groups of a queue by name, and the message that goes first in each. */
  groups(queue: string, query: GroupsQuery = {}, options?: CallOptions): Promise<GroupList> {
    return this.call('GET', path('queues', queue, 'groups'), { query }, options)
  }

  /** Dead messages and those that wait for a retry, grouped by the reason of their last failure. */
  failures(queue: string, query: FailuresQuery = {}, options?: CallOptions): Promise<Failures> {
    return this.call('GET', path('queues', queue, 'failures'), { query }, options)
  }

  /** The workers seen lately on a queue. */
  consumers(queue: string, options?: CallOptions): Promise<Consumers> {
    return this.call('GET', path('queues', queue, 'consumers'), {}, options)
  }
}
