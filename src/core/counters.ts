/** What is counted of a queue: its messages by state, and totals since the queue was made. */
import { keysOf } from './table.ts'

/** Each state of a message, in the order in which tables show them. */
export const states = ['ready', 'delayed', 'leased', 'dead', 'acked'] as const
export type State = (typeof states)[number]

/** The states of messages that are not done yet. Kept acked messages are stored apart. */
export const openStates = ['ready', 'delayed', 'leased', 'dead'] as const satisfies readonly State[]
export type OpenState = (typeof openStates)[number]

/** The states of messages that are not done yet, and that nobody holds. */
export const freeStates = ['ready', 'delayed', 'dead'] as const satisfies readonly OpenState[]

/** Each total, and what it counts. */
export const totals = {
  enqueued: 'Messages stored.',
  leased: 'Leases given.',
  acked: 'Messages acked.',
  failed: 'Attempts ended by a fail.',
  lapsed: 'Attempts ended by the end of their lease.',
  released: 'Leases given back.',
  dead: 'Messages that became dead.',
  redriven: 'Dead messages made ready again.',
  expired: 'Messages removed at the end of their time to live or retention.',
  purged: 'Messages removed by a purge or a cancel.',
  buried: 'Messages moved to the dead-letter queue by their death.',
  inherited: 'Messages that came from another queue by their death.',
  sent: 'Messages moved to another queue by a redrive.',
  returned: 'Messages that came from another queue by a redrive.'
} as const
export type Total = keyof typeof totals

/** What the metric `moved` counts. */
export const movedHelp = 'Messages moved to another queue.'

/** Totals that stand under a common name in the metrics, and what tells them apart there. */
export const labelledTotals: Partial<Record<Total, { name: string; by: string }>> = {
  inherited: { name: 'enqueued', by: 'death' },
  returned: { name: 'enqueued', by: 'redrive' },
  buried: { name: 'moved', by: 'death' },
  sent: { name: 'moved', by: 'redrive' }
}

export const totalNames = keysOf(totals)

export type StateCounts = Record<State, number>

/** The totals that the overview shows. */
export const overviewTotals = ['enqueued', 'acked'] as const satisfies Total[]

/** One queue in the overview of all queues. */
export interface OverviewRow extends StateCounts, Record<`${(typeof overviewTotals)[number]}Total`, number> {
  id: number
  queue: string
  paused: boolean
}

/** One queue's counts, as the sweeper's last fold of the ledger left them. */
export interface QueueTotals {
  id: number
  queue: string
  paused: boolean
  states: StateCounts
  totals: Record<Total, number>
}
