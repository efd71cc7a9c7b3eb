/** The verbs that show messages, failures, consumers and the last hour, as the store offers them. */
import type { State } from './counters.ts'
import type {
  Ahead,
  Circumstances,
  Digits,
  FailingState,
  Filter,
  MessageDetail,
  MessagePage
} from './message.ts'
import type { Sample, SparkSample, StepTimes } from './series.ts'

/** Which page of a queue's messages: `limit` of those that match, by id from the one after `after` on. */
export interface PageAsked {
  /** null: any. */
  state: State | null
  where: Filter | null
  after: Digits
  limit: number
}

export interface BrowseVerbs {
  /** A page of messages by id. */
  browse(queueId: Digits, asked: PageAsked, bytesMax: number): Promise<MessagePage>
  /** One message, or one kept acked message. null: there is none. */
  findMessage(queueId: Digits, id: Digits): Promise<MessageDetail | null>
  /** For each message, in order: whether it is acked, dead or gone. */
  whichEnded(messages: { queueId: Digits; id: Digits }[]): Promise<boolean[]>
  /** Why one message is where it is. Only a ready one has an `ahead`. null: there is none. */
  circumstancesOf(
    queueId: Digits,
    id: Digits
  ): Promise<{ message: Circumstances; ahead: Ahead | null } | null>
}

/** A message whose last attempt failed. */
export interface FailedMessage {
  id: Digits
  attempt: number
  /** When the attempt ended. */
  at: string
  /** Its beginning. null: there was none. */
  reason: string | null
}

export interface FailureVerbs {
  /** The failed ones of the next `limit` messages by id, after `after`. `cursor` is null at the end. */
  findFailed(
    queueId: Digits,
    state: FailingState,
    after: Digits,
    limit: number
  ): Promise<{ failed: FailedMessage[]; examined: number; cursor: Digits | null }>
}

/** A worker that was seen lately. Times that are not known are null. */
export interface Consumer {
  worker: string
  /** How many messages it holds now. */
  leases: number
  /** Since when it holds the oldest of them, and when the first of these leases ends. */
  oldestLeaseAt: string | null
  nextEndAt: string | null
  lastLeasedAt: string | null
  /** Of kept acked messages alone. */
  lastAckedAt: string | null
  lastFailedAt: string | null
}

export interface ConsumersFound {
  /** Those that hold the most messages come first. */
  consumers: Consumer[]
  /** There may be more, or more leases than counted. */
  more: boolean
  /** Whether the queue keeps acked messages. */
  keepsAcked: boolean
  /** When a lease was last asked for, as the replicas have written it. */
  askedAt: string | null
}

export interface ConsumerVerbs {
  /** The workers that recent leases and attempts of the queue name. null: the queue is gone. */
  findConsumers(queueId: Digits): Promise<ConsumersFound | null>
}

export interface SeriesVerbs {
  /** The last hour of a queue. `last` is the end of the last step written. */
  readSeries(queueId: Digits): Promise<{ last: number; samples: Sample[]; times: StepTimes[] }>
  /** The totals of these queues in the last hour. Queues that are not there are left out. */
  readSparks(names: string[]): Promise<{ name: string; last: number; samples: SparkSample[] }[]>
}
