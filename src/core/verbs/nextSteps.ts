/** The messages that follow an ack, as rows of their queues, and how they are refused. */
import type { NextMessage } from '../completion.ts'
import { idempotencyMismatch, queueFull, uniqueGroup } from '../enqueueRefusals.ts'
import { pointedAt, QueueError } from '../errors.ts'
import { priorityDefault } from '../options.ts'
import type { EnqueueAnswer, EnqueueRow } from '../ports.ts'
import type { Queue } from '../queue.ts'
import { rowsFor } from './enqueue.ts'

/** A next message as a row of its queue. */
export interface Step {
  row: EnqueueRow
  queue: string
  pointer: string
  hasMaxDepth: boolean
  /** Refuses its call if the step is due. The row is then of no queue. */
  refusal: QueueError | null
}

interface Target {
  toRow: ReturnType<typeof rowsFor>
  hasMaxDepth: boolean
}

/** The queues of next messages by name. An error: how a message to it is refused. */
export type Targets = Map<string, Target | QueueError>

/** Looks up each queue that next messages name, once. */
export async function targetsOf(
  endings: { then: NextMessage[] }[],
  find: (name: string) => Promise<Queue>
): Promise<Targets> {
  const targets: Targets = new Map()
  for (const { queue: name } of endings.flatMap(({ then }) => then)) {
    if (targets.has(name)) continue
    const queue = await find(name).catch(missingQueue)
    targets.set(name, queue instanceof QueueError ? queue : targetOf(queue))
  }
  return targets
}

const targetOf = (queue: Queue): Target => ({
  toRow: rowsFor(queue),
  hasMaxDepth: queue.settings.maxDepth !== null
})

/** A next message as a row of the target. A refusal is kept until the step is due. */
export function stepTo(target: Target | QueueError, { queue, message, pointer }: NextMessage): Step {
  let refusal: QueueError
  try {
    if (target instanceof QueueError) throw pointedAt(target, pointer)
    const { toRow, hasMaxDepth } = target
    return { row: toRow(message, pointer), queue, pointer, hasMaxDepth, refusal: null }
  } catch (error) {
    if (!(error instanceof QueueError)) throw error
    refusal = error
  }
  return { row: noRow, queue, pointer, hasMaxDepth: false, refusal }
}

/** No queue has this id, so the store does not take the row. */
const noRow: EnqueueRow = {
  queueId: '0',
  body: 'null',
  contentType: null,
  priority: priorityDefault,
  defaults: null
}

/** Catches the refusals of a queue that is missing and is not made. */
function missingQueue(error: unknown): QueueError {
  const isMissing =
    error instanceof QueueError && (error.code === 'queueNotFound' || error.code === 'tooManyQueues')
  if (!isMissing) throw error
  return error
}

const undone = 'nothing was acked or stored'

/** Refuses the call of a step for which its queue has no room. */
export function noRoomFor({ queue, pointer }: Step): QueueError {
  return pointedAt(queueFull(queue, undone), pointer)
}

/** The refusal of the call of a step that the store did not take. null: the queue of the step is gone. */
export function refusalOf({ refusal, pointer }: Step, answer: EnqueueAnswer): QueueError | null {
  if (answer === null) return refusal
  return pointedAt(answer.mismatch ? idempotencyMismatch(undone) : uniqueGroup(undone), pointer)
}
