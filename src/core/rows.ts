/** What the store is given and answers, row by row, where messages are stored, leased and settled. */
import type { Digits, LeasedBody, NewMessage } from './message.ts'
import type { EnqueueDefaults } from './queue.ts'
import type { Published } from './topic.ts'

/** One message to store. */
export interface EnqueueRow extends NewMessage {
  queueId: Digits
  priority: number
  /** What the queue says where the message says nothing. null: nothing. */
  defaults: EnqueueDefaults | null
  /** Whether the queue's messages stand in lines. With `true` the row fits every queue. */
  lined?: boolean
  /** The place of the message in a request of several. */
  pointer?: string
  /** Of a copy of what was published. */
  published?: Published | undefined
}

/** What became of a message to store. */
export interface Stored {
  id: Digits
  duplicate: boolean
  /** The idempotency key stands for other content. */
  mismatch: boolean
  /** It has taken the place of the message that holds its unique key. */
  replaced?: boolean
  /** The message that holds its unique key has another group, so nothing was stored. */
  otherGroup?: boolean
  /** null: it waits in its line, or is a duplicate. */
  position: Digits | null
}

/** null: the queue is gone, or its settings have changed. */
export type EnqueueAnswer = Stored | null

/** What one caller asks for. */
export interface LeaseAsk {
  max: number
  /** null: as the settings of the queue say. */
  leaseSeconds: number | null
  worker: string
  /** With a key the caller can get the same messages again when the answer was lost. */
  idempotencyKey: string | null
  /** In an ordered queue: all are of one group. Without it, each group gives one before any gives two. */
  ofOneGroup?: boolean
}

/** What a receipt proves, within its queue. */
export interface Held {
  id: Digits
  fence: Digits
}

/** A message that has just been leased. */
export interface LeasedRow extends LeasedBody {
  fence: Digits
  /** null: it was leased with the head of its line. */
  position: Digits | null
}

/** A leased message of a line, and the place of its ask among the asks. */
export interface Head extends Held {
  ask: number
}

/** A message that was leased with the head of its line, for the same ask. */
export interface Follower extends LeasedRow {
  ask: number
  /** When the first group of the flush may go on whose rate is used up. null: none waits. */
  dueAtMs: number | null
}

/** What became ready because other messages left their lines. */
export interface Freed {
  count: number
  /** The lowest position of these messages. */
  position: number
}

/** What a lease has done in the lines of its messages. */
export interface Turned extends Freed {
  /** When the first group may go on whose rate is used up. null or left out: none waits. */
  dueAtMs?: number | null
}

/** What kind of queue a lease is of. */
export interface LeaseMode {
  /** Messages are leased one after another in their lines: each ask gets one, and then again. */
  ordered: boolean
  /** The queue has limits. Where it is wrong, the lease finds out. */
  limited: boolean
}
export const plainMode: LeaseMode = { ordered: false, limited: false }

/** What a lease has found and left of the limits of a queue. */
export interface Room {
  /** How many of the messages wanted it could lease. */
  messages: number
  /** How many more messages may be leased, or more than that. null: it has no such limit. */
  places: number | null
  /** Leases that the rate allows now, and how it goes on. null: it has none. */
  tokens: number | null
  perSecond: number | null
  burst: number | null
}

export interface LeaseFlush {
  rows: LeasedRow[]
  /** The messages of each ask. */
  shares: LeasedRow[][]
  /** The bytes of the answer, estimated. */
  bytes: number
  /** More was ready, and would have passed the bound in bytes. */
  full: boolean
  /** The acks that removed their message, as `id.fence`. */
  acked: string[]
  /** What became ready because messages left their lines: by the acks, and by the leases. */
  freed: Freed | null
  turned: Turned | null
  /** Keys of asks that an earlier lease has used. Told only when there was no message to lease. */
  usedKeys: string[]
  /** null: the queue has no limits, or is paused. */
  room: Room | null
  /** When it leased, by the database's clock. */
  atMs: number
}
