/** The verbs that lease, as the store offers them. */
import type { Digits } from './message.ts'
import type { Follower, Head, Held, LeaseAsk, LeasedRow, LeaseFlush, LeaseMode } from './rows.ts'

/** What one commit leases and acks. */
export interface LeaseWork {
  /**
   * At most as many messages are leased as these add up to. The first ask's messages come first, or as
   * `mode` says.
   */
  asks: LeaseAsk[]
  /** Before the answer has more, it stops, but it leases at least one message. */
  bytesMax: number
  /** No id may come twice. */
  acks?: Held[]
  /** Left out: a queue without an order and without limits. */
  mode?: LeaseMode
}

/** What more a flush leases, from the groups of messages that it has just leased. */
interface MoreWanted {
  /** Before the answer has more, it stops. */
  bytesMax: number
  /** The queue has limits, which the transaction has locked. */
  limited: boolean
}
export interface FollowersWanted extends MoreWanted {
  heads: Head[]
  /** For the ask at each place, at most that many messages. */
  wanted: number[]
}
export interface TurnsWanted extends MoreWanted {
  /** Messages of the groups that are meant. */
  heads: Held[]
  asks: LeaseAsk[]
}

export interface LeaseVerbs {
  /**
   * Acks, and leases the first ready messages of a queue in the same commit. It throws an error that
   * `isLeaseKeyTaken` of the store knows when a key was used before.
   */
  lease(queueId: Digits, work: LeaseWork): Promise<LeaseFlush>
  /** Locks the limits of a queue until the transaction ends. Lines and messages are locked after them. */
  lockLimits(queueId: Digits): Promise<void>
  /** Locks the lines of messages, until the transaction ends. */
  lockLinesOf(queueId: Digits, ids: Digits[]): Promise<void>
  /** Leases what comes next in the lines of these heads. The lines must be locked. */
  leaseFollowers(queueId: Digits, more: FollowersWanted): Promise<Follower[]>
  /** Leases more from groups that take turns. */
  leaseTurns(queueId: Digits, more: TurnsWanted): Promise<LeaseFlush>
  /** Which of these keys were used. Their messages may still be held. */
  usedLeaseKeys(queueId: Digits, keys: string[]): Promise<Set<string>>
  /** The messages that a lease with this key still holds. Without any, the key is free again. */
  leaseAgain(queueId: Digits, key: string): Promise<LeasedRow[]>
  /** Adds messages to those of a key. They were leased without it, for the same call. */
  addToLeaseKey(queueId: Digits, key: string, held: Held[]): Promise<void>
  /** Searches, when that is due, for ready messages that leases have passed by. Never fails. */
  findMissed(queueId: Digits): Promise<boolean>
}
