/** Schedules over all cells. Each is in the cell of its queue. */
import type { FastifyRequest } from 'fastify'
import { QueueError } from '../../core/errors.ts'
import type { CellAnswer, CellCalls } from '../calls.ts'
import { requestOf } from './forward.ts'

/** Any call on one schedule: to the cell that has it. Where none has, the last cell says so. */
export async function onSchedule(calls: CellCalls, request: FastifyRequest): Promise<CellAnswer> {
  const { cellNames } = calls.placement
  for (const cell of cellNames.slice(0, -1)) {
    const answer = await calls.call(cell, requestOf(request))
    if (answer.status !== 404) return answer
  }
  return await calls.call(cellNames.at(-1)!, requestOf(request))
}

/**
 * Makes or changes a schedule. One with a queue goes to the cell of that queue. Refuses with wrongCell
 * where another cell has the schedule.
 */
export async function putSchedule(calls: CellCalls, request: FastifyRequest): Promise<CellAnswer> {
  const queue = queueIn(request.body)
  if (queue === undefined) return await onSchedule(calls, request)
  const { placement } = calls
  const cell = placement.targetOf(queue)
  const { schedule } = request.params as { schedule: string }
  const others = placement.cellNames.filter(name => name !== cell)
  const lookUp = { ...requestOf(request), method: 'GET', body: undefined }
  for (const other of others) {
    const { status } = await calls.call(other, lookUp)
    if (status === 200) throw inAnotherCell({ schedule, cell: other }, { queue, cell })
  }
  return await calls.call(cell, requestOf(request))
}

/** undefined also where the cell will refuse the body. */
function queueIn(body: unknown): string | undefined {
  try {
    const { queue } = JSON.parse(body as string)
    return typeof queue === 'string' ? queue : undefined
  } catch {
    return undefined
  }
}

function inAnotherCell(
  found: { schedule: string; cell: string },
  wanted: { queue: string; cell: string }
): QueueError {
  return new QueueError(
    'wrongCell',
    `The schedule ${found.schedule} is in the cell ${found.cell}, and the queue ${wanted.queue} belongs to ` +
      `${wanted.cell}; nothing was changed. Delete the schedule first, then make it anew.`
  )
}
