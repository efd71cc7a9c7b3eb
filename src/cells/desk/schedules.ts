/** Schedules over all cells. Each is in the cell of its queue. */
import type { FastifyRequest } from 'fastify'
import { QueueError } from '../../core/errors.ts'
import type { Placement } from '../../core/placement.ts'
import type { CellAnswer, CellCalls } from '../calls.ts'
import { askInTurn, requestOf } from './forward.ts'

/** Any call on one schedule: to the cell that has it. */
export function onSchedule(
  calls: CellCalls,
  { cellNames }: Placement,
  request: FastifyRequest
): Promise<CellAnswer> {
  return askInTurn(calls, cellNames, requestOf(request), 404)
}

/** Makes or changes a schedule. One with a queue goes to the cell of that queue. */
export async function putSchedule(
  calls: CellCalls,
  placement: Placement,
  request: FastifyRequest
): Promise<CellAnswer> {
  const queue = queueIn(request.body)
  if (queue === undefined) return await onSchedule(calls, placement, request)
  const cell = placement.targetOf(queue)
  const { schedule } = request.params as { schedule: string }
  const others = placement.cellNames.filter(name => name !== cell)
  const lookUp = { ...requestOf(request), method: 'GET', body: undefined }
  for (const other of others) {
    const { status } = await calls.call(other, lookUp)
    if (status === 200) throw inAnotherCell(schedule, other, queue, cell)
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

function inAnotherCell(schedule: string, cell: string, queue: string, wanted: string): QueueError {
  return new QueueError(
    'wrongCell',
    `The schedule ${schedule} is in the cell ${cell}, and the queue ${queue} belongs to ${wanted}; nothing ` +
      'was changed. Delete the schedule first, then make it anew.'
  )
}
