/** The keys of our advisory locks: numbers that no other application is likely to lock. */
export const lockKeys = {
  /** One migrator at a time in a database. */
  migrate: 4_011_976,
  /** One replica at a time folds the ledger. */
  fold: 4_011_977,
  /** One replica at a time starts pg-boss: two that make its schema at once collide. */
  startJobs: 4_011_978,
  /** One enqueue at a time makes a queue, so that all together stay within the bound. */
  makeQueue: 4_011_979,
  /** One caller at a time makes, moves or takes over a schedule, for the same reason. */
  makeSchedule: 4_011_980,
  /** One session at a time sets a dead-letter queue, so that no circle comes about. */
  deadLetterChains: 4_011_990,
  /** One caller at a time makes a subscription, likewise. */
  subscribe: 4_011_981,
  /** One session at a time makes or changes a push, likewise, and so that versions follow the commits. */
  push: 4_011_983,
  /** With the id of a queue: one flush at a time enqueues its unique keys, where several collide. */
  unique: 4_011_982,
  /** One Holdfast at a time runs over the folder of an embedded PostgreSQL. */
  embedded: 4_803_712
}
