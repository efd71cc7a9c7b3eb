/** Messages that come again and again. */
import { keyed, path, type CallOptions } from '../calls.ts'
import { Pushes } from './push.ts'
import type { Enqueued, PageQuery, Schedule, ScheduleChange, ScheduleList } from '../types.ts'

export class Schedules extends Pushes {
  /** A page of schedules, by name, without their messages. */
  schedules(query: PageQuery = {}, options?: CallOptions): Promise<ScheduleList> {
    return this.call('GET', '/schedules', { query }, options)
  }

  /** A schedule with its message and its next times. */
  schedule(name: string, options?: CallOptions): Promise<Schedule> {
    return this.call('GET', path('schedules', name), {}, options)
  }

  /** Creates a schedule, or changes the fields given. A new one needs `queue`, `cron` and `body`. */
  putSchedule(name: string, change: ScheduleChange, options?: CallOptions): Promise<Schedule> {
    return this.call('PUT', path('schedules', name), { body: change }, options)
  }

  /** Enqueues a schedule's message once more, also while it is paused. Safe to repeat, as `enqueue`. */
  runSchedule(
    name: string,
    request: { idempotencyKey?: string | undefined } = {},
    options?: CallOptions
  ): Promise<Enqueued> {
    return this.call('POST', path('schedules', name, 'run'), { body: keyed(request) }, options)
  }

  /** Removes a schedule. Its messages in the queue stay there. */
  async deleteSchedule(name: string, options?: CallOptions): Promise<void> {
    await this.call('DELETE', path('schedules', name), {}, options)
  }
}
