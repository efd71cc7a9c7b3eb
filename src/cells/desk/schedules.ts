/** Schedules over all cells. Each is in the cell of its queue. */
import type { FastifyRequest } from 'fastify'
import { QueueError } from '../../core/errors.ts'
import type { CellAnswer } from '../answer.ts'
import type { CellCalls } from '../calls.ts'
import { requestOf } from './forward.ts'

/** Any call on one schedule: to the cell that has it, whichever others are away. */
export async function onSchedule(calls: CellCalls, request: FastifyRequest): Promise<CellAnswer> {
  const found = await lookUp(calls, request, calls.placement.cellNames)
  const isRead = request.method === 'GET'
  return isRead || found.status === 404 || found.status >= 500
    ? found
    : await calls.call(found.cell, requestOf(request))
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
  const found = await lookUp(calls, request, [cell, ...placement.cellNames.filter(name => name !== cell)])
  if (found.status >= 500) return found
  if (found.status === 200 && found.cell !== cell) {
    const { schedule } = request.params as { schedule: string }
    throw inAnotherCell({ schedule, cell: found.cell }, { queue, cell })
  }
  return await calls.call(cell, requestOf(request))
}

/**
 * Asks all of these cells for the schedule. The first one that answers anything but 404 has it, or has a
 * reason to refuse the call. Where none has it, each must have said so.
 */
async function lookUp(calls: CellCalls, request: FastifyRequest, cells: string[]): Promise<CellAnswer> {
  const found = new AbortController()
  const signal = AbortSignal.any([found.signal, request.gone])
  const { schedule } = request.params as { schedule: string }
  // The call itself may be about its run.
  const path = request.method === 'GET' ? request.url : `/schedules/${encodeURIComponent(schedule)}`
  const get = { ...requestOf(request), method: 'GET', path, body: undefined, signal }
  const asked = cells.map(cell => calls.call(cell, get))
  const having = asked.map(async each => {
    const answer = await each
    if (answer.status === 404 || answer.status >= 500) throw new Error('Another cell may have it.')
    return answer
  })
  try {
    return await Promise.any(having)
  } catch {
    const answers = await Promise.all(asked)
    return answers.find(({ status }) => status >= 500) ?? answers[0]!
  } finally {
    found.abort()
  }
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
