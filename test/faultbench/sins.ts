/** The findings of the checker. The report names each, with what it means. */
export const sins = {
  lost: 'confirmed, and neither there nor acked',
  unexpected: 'never sent, or under the id of another',
  resurrected: 'there though its enqueue was answered "nothing happened"',
  doubled: 'sent once, or under one key, and stored twice',
  overlapping: 'leased to somebody while somebody else held it',
  afterAck: 'delivered, or still there, after its ack was confirmed',
  stale: 'settled with a receipt that had been superseded',
  changed: 'came back other than it was sent',
  unexplained: 'leased again, or dead, without a failure, an expiry or a release on record',
  miscounted: 'an attempt number that did not rise by one, or a death too early or too late',
  early: 'delivered before its delay was over',
  unbalanced: 'counts that do not equal the rows',
  odd: 'an answer that is not allowed, a process that ended, a queue that never ran empty',
  outOfOrder: 'leased before an earlier message of its group, or while another answer held the group',
  stuck: 'left at the end though nobody held it, or a unique key of an ended message',
  overLimit: 'more leased than `maxLeased` or `rate` allow',
  undelivered: 'acked by a push without a 2xx of the endpoint',
  halfDone: 'an ack without its `then`, or a publish without one of its copies',
  slow: 'no service within 5 s of the end of a fault'
} as const
export type Sin = keyof typeof sins
