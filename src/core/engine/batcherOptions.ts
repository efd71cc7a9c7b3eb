/** What a batcher has to know of its items, and its bounds. */
import type { Activity } from './activity.ts'
import type { Flights } from './flights.ts'
import type { Rests } from './rests.ts'
import type { Share } from './share.ts'

export interface BatcherOptions<Item, Answer> {
  /**
   * Commits all items, and answers each with an answer or an error, in their order. What it throws
   * is the answer of every item.
   */
  flush: (lane: string, items: Item[]) => Promise<(Answer | Error)[]>
  /** What one item counts against the bounds of weight. */
  weigh: (item: Item) => number
  /** Messages in one item. */
  count: (item: Item) => number
  /** A flush takes items until their weight, or their messages, reach these. */
  flushWeightMax: number
  flushCountMax: number
  /** Bounds the weight of what waits, over all lanes. */
  share: Share
  /** Bounds the items that wait: each counts at least this part of the share's total. */
  waitingItemsMax: number
  /**
   * An item that has waited longer is turned away, rather than done late. When a caller's oldest in
   * a lane has waited half as long, the lane takes no more items of that caller.
   */
  waitingMsMax: number
  /** Items that make room for others. They get more room, and may wait three times as long. */
  isUrgent: (item: Item) => boolean
  /**
   * Flushes of one lane in flight at once. A second one starts only beside a slow one, or when half
   * a flush waits.
   */
  inFlightMax: number
  /** Bounds the flushes in flight of all lanes, of all batchers that share it. null: no bound. */
  flights: Flights | null
  /** Items whose flush a second one would only wait for. It then starts only beside a slow one. */
  isAlone?: (item: Item) => boolean
  /** Who has called lately. Every batcher tells it. */
  activity: Activity
  /** Who rests after heavy items, in all batchers that share it. */
  rests: Rests
  /** Items whose flush keeps the database busy for long. rests.ts says what follows. */
  isHeavy?: (item: Item) => boolean
  /** Whether an error is the fault of one item. The flush is then split to find that item. */
  isPoison: (error: unknown) => boolean
}

/** The bounds that several batchers share. */
export type Bounds = Pick<
  BatcherOptions<unknown, unknown>,
  | 'flushWeightMax'
  | 'flushCountMax'
  | 'waitingItemsMax'
  | 'waitingMsMax'
  | 'flights'
  | 'activity'
  | 'rests'
  | 'isPoison'
>
