/** Failures by reason: dead, moved and backing-off messages whose last attempts ended for a like reason. */
import type { Caller } from '../caller.ts'
import { countSecondsMax, failureGroupsMax, failuresExaminedMax } from '../limits.ts'
import { inTurn } from '../engine/oneByOne.ts'
import type { Parts } from '../engine/parts.ts'
import type { Pass } from '../engine/turns.ts'
import type { Digits, FailingState } from '../message.ts'
import type { FailedMessage } from '../ports.ts'
import { foldReason, pieceOf } from '../reason.ts'

/** Messages in one state whose last reasons fold into the same text. */
export interface FailureGroup {
  state: FailingState
  /** Folded. null: the attempts ended without a reason. */
  reason: string | null
  count: number
  /** When the first and the last of these attempts ended. */
  firstAt: string
  lastAt: string
  /** The message whose attempt ended last. */
  example: FailedMessage
  /** A piece that all reasons of the group hold. null: there is none. */
  piece: string | null
  /** Every message of the group, so a bulk action on them acts on what the group shows. */
  ids: Digits[]
}

export interface Failures {
  /** The largest group first. */
  groups: FailureGroup[]
  /** How many smaller groups were left out. */
  groupsLeftOut: number
  /** Not every message was examined, so each count is at least that. */
  more: boolean
}

type Needs = Pick<Parts, 'store' | 'queueCache' | 'searchTurns'>

/** core/broker.ts says what the methods do, and how they refuse. */
export class FailureGroups {
  readonly #parts: Needs

  constructor(parts: Needs) {
    this.#parts = parts
  }

  async list(caller: Caller, name: string, states: FailingState[], signal: AbortSignal): Promise<Failures> {
    const { queueCache, searchTurns } = this.#parts
    const { id } = await queueCache.find(caller, name)
    return await searchTurns.run(caller, pass => this.#group(caller, id, states, signal, pass), true)
  }

  async #group(
    caller: Caller,
    queueId: Digits,
    states: FailingState[],
    signal: AbortSignal,
    pass: Pass
  ): Promise<Failures> {
    const { store } = this.#parts
    const groups = new Map<string, FailureGroup>()
    const timely = AbortSignal.any([signal, AbortSignal.timeout(countSecondsMax * 1000)])
    let more = false
    for (const state of states) {
      let after: Digits | null = '0'
      for (let left = failuresExaminedMax; after !== null && left > 0 && !timely.aborted;) {
        const step = await store.last.findFailed(queueId, state, after, left)
        await enterAll(caller, groups, state, step.failed)
        left -= step.examined
        after = step.cursor
        if (after !== null && left > 0) await pass()
      }
      more ||= after !== null
    }
    const largestFirst = [...groups.values()].sort((a, b) => b.count - a.count)
    return {
      groups: largestFirst.slice(0, failureGroupsMax),
      groupsLeftOut: Math.max(0, groups.size - failureGroupsMax),
      more
    }
  }
}

/** Folding this many long reasons takes about a millisecond. */
const enteredMax = 50

/** Enters the messages in their groups, a part of them in each turn of the caller. */
async function enterAll(
  caller: Caller,
  groups: Map<string, FailureGroup>,
  state: FailingState,
  messages: FailedMessage[]
): Promise<void> {
  for (let first = 0; first < messages.length; first += enteredMax) {
    await inTurn(caller, () => {
      for (const message of messages.slice(first, first + enteredMax)) enter(groups, state, message)
    })
  }
}

/** Enters a message in its group, which may be a new one. */
function enter(groups: Map<string, FailureGroup>, state: FailingState, message: FailedMessage): void {
  const { id, at, reason } = message
  const folded = reason === null ? null : foldReason(reason)
  const key = `${state} ${folded ?? ''}`
  const group = groups.get(key)
  if (group === undefined) {
    const piece = folded === null ? null : pieceOf(folded)
    groups.set(key, {
      state,
      reason: folded,
      count: 1,
      firstAt: at,
      lastAt: at,
      example: message,
      piece: holds(reason, piece),
      ids: [id]
    })
    return
  }
  group.count++
  group.ids.push(id)
  group.piece = holds(reason, group.piece)
  if (at < group.firstAt) group.firstAt = at
  if (at > group.lastAt) {
    group.lastAt = at
    group.example = message
  }
}

/** The piece, if the reason holds it as it stands: folding also changes white space. */
function holds(reason: string | null, piece: string | null): string | null {
  return piece !== null && reason?.includes(piece) ? piece : null
}
