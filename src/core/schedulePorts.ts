/** The verbs of schedules, as the store offers them. core/ports.ts has the others. */
import type { NamePage, NameScope } from './queue.ts'
import type {
  DueSchedule,
  DueTurn,
  FiredSchedule,
  HeldSchedules,
  ListedSchedule,
  Schedule,
  ScheduleState
} from './schedule.ts'

export interface ScheduleVerbs {
  /** A schedule with its message. null: there is none of this name. */
  findSchedule(name: string): Promise<Schedule | null>
  /** Schedules by name, without their messages: those whose queues are in the scope. */
  listSchedules(page: NamePage): Promise<ListedSchedule[]>
  /**
   * Locks a schedule until the transaction ends, if the scope holds its queue. `now` is the time on
   * the database's clock.
   */
  lockSchedule(name: string, scope: NameScope): Promise<{ now: string; schedule: Schedule | null }>
  /** The queue of a schedule. null: there is none of this name. */
  queueOfSchedule(name: string): Promise<string | null>
  /** Counts the other schedules. Until the transaction ends, no other session counts. */
  countSchedules(name: string, queue: string, ownerId: string | null): Promise<HeldSchedules>
  /** Makes a schedule. null: another session has just made one of this name. */
  createSchedule(name: string, state: ScheduleState): Promise<Schedule | null>
  /** Writes the whole state of a schedule that the transaction has locked. */
  changeSchedule(name: string, state: ScheduleState): Promise<Schedule>
  /** Nothing happens if there is none of this name. */
  removeSchedule(name: string): Promise<void>
  /**
   * The due schedules. Owners take turns: the first one of each owner comes before the second one of
   * any. In each turn, small messages come first.
   */
  listDueSchedules(): Promise<DueTurn[]>
  /**
   * Locks those of the schedules that are due, until the end of the transaction. The earliest come
   * first. Passes by what another session has locked.
   */
  takeDueSchedules(names: string[]): Promise<DueSchedule[]>
  /** Stores what became of schedules that were taken, and when they are due next. */
  moveSchedulesOn(fired: FiredSchedule[]): Promise<void>
  /** The queues of these schedules that do not exist, with the owners of the schedules. */
  missingQueues(names: string[]): Promise<{ queue: string; ownerId: string | null }[]>
  /** How long until the next schedule is due, on the database's clock. Infinity: there is none. */
  msUntilSchedule(): Promise<number>
}
