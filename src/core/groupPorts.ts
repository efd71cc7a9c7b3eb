/** The verbs of groups, as a part of the store. */
import type { OpenState } from './counters.ts'
import type { Digits } from './message.ts'

export interface Group {
  /** null: the messages without a group, or those of a queue that is one group. */
  group: string | null
  /** Ready and delayed, and leased ones, of the first messages of the group. */
  waiting: number
  leased: number
  /** There may be more messages than counted. */
  more: boolean
  /** When its rate allows the next lease. null: it does now, or there is none. */
  nextTokenAt: string | null
  /** Which of them goes first, and when its lease or delay ends. */
  first: { id: Digits; state: OpenState; attempt: number; until: string | null } | null
}

export interface GroupPage {
  groups: Group[]
  /** Where the next page begins. null at the end. */
  next: string | null
}

export interface GroupVerbs {
  /** The next groups of a queue by name, after `after`. A page may be short, or empty, before the end. */
  listGroups(queueId: Digits, after: string | null, limit: number): Promise<GroupPage>
}
