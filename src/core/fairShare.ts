/**
 * Fair shares of what the service holds. A caller may hold at most half of what the others leave. So
 * one caller alone gets half, two get a third each, and there is always room for one more.
 */
import { QueueError, type Code } from './errors.ts'

/** Beyond the total: for calls that make room themselves, such as acks. */
const makesRoomFactor = 1.25
/** Of the total: what admins may hold, whatever the others hold. */
const adminPart = 0.25

export interface Holding {
  /** Held by all callers, this one included. */
  all: number
  /** Held by this caller. */
  mine: number
}

/** What is in the way of holding more: nothing, the caller's own share, or the total. */
export type Obstacle = null | 'share' | 'total'

/**
 * The rule. Where nobody holds anything, one thing of any size is let in. A caller that holds
 * nothing gets one thing as long as the total has room for it.
 */
export function obstacleTo(
  amount: number,
  total: number,
  { all, mine }: Holding,
  isAdmin: boolean,
  makesRoom = false
): Obstacle {
  if (all === 0) return null
  const limit = makesRoom ? total * makesRoomFactor : total
  if (isAdmin) return all + amount <= limit || mine + amount <= total * adminPart ? null : 'total'
  if (mine > 0 && mine + amount > (limit - (all - mine)) / 2) return 'share'
  return all + amount <= limit ? null : 'total'
}

/** Something to be kept for a caller, of which there is a bound. */
interface OneMore {
  max: number
  held: Holding
  isAdmin: boolean
  /** It is there already, for another caller. So only this caller's share can refuse it. */
  isThere?: boolean
}

/** How one more is refused. */
interface NoRoom {
  code: Code
  /** How the sentence begins where the bound is reached, and where the caller's share is used up. */
  total: string
  share: string
  advice: string
}

/** Refuses with the code where there is no room. */
export function checkOneMore({ max, held, isAdmin, isThere = false }: OneMore, noRoom: NoRoom): void {
  const obstacle = obstacleTo(1, max, held, isAdmin)
  if (obstacle === null || (obstacle === 'total' && isThere)) return
  const reason =
    obstacle === 'total'
      ? `${noRoom.total}, which is the most there may be`
      : `${noRoom.share}: half of what others leave`
  throw new QueueError(noRoom.code, `${reason}; nothing was changed. ${noRoom.advice}`)
}
