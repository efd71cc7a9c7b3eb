/** What ties a queue to others of its cell, so that a move would tear it apart. */
import type { Placement } from '../core/placement.ts'
import type { CellApi, Transfer } from './cellApi.ts'

/** Refuses a move that would tear something apart. Throws an Error that says what to do first. */
export async function refuseTies(transfer: Transfer, placement: Placement): Promise<void> {
  await refuseFeeders(transfer)
  await refuseSubscriptions(transfer)
  await refusePush(transfer)
  await refuseDeadLetterQueue(transfer, placement)
}

async function refuseFeeders({ queue, from }: Transfer): Promise<void> {
  const feeders = await firstNames(from, `/queues?deadLetterQueue=${queue}`, 'queues', 'queue')
  if (feeders.length === 0) return
  throw new Error(
    `Dead messages of ${feeders.join(', ')} go to ${queue}, which only works within a cell. Give these ` +
      'queues another deadLetterQueue first.'
  )
}

async function refuseSubscriptions({ queue, from }: Transfer): Promise<void> {
  const topics = await firstNames(from, `/topics?queue=${queue}`, 'topics', 'topic')
  if (topics.length === 0) return
  throw new Error(
    `${queue} subscribes to ${topics.join(', ')}, which only works within a cell. End that first: ` +
      `DELETE /topics/${topics[0]}/subscriptions/${queue}.`
  )
}

async function refusePush({ queue, from }: Transfer): Promise<void> {
  if ((await from.find(`/queues/${queue}/push`)) === null) return
  throw new Error(
    `${queue} is delivered by push, which works within a cell. Delete its push first, and set it ` +
      'up again after the move. Its signing secret will be another one.'
  )
}

async function refuseDeadLetterQueue({ queue, from, to }: Transfer, placement: Placement): Promise<void> {
  const target = (await from.queue(queue))?.settings.deadLetterQueue ?? null
  if (target === null || placement.targetOf(target) === to.name) return
  throw new Error(
    `Dead messages of ${queue} go to ${target}, which is in ${placement.targetOf(target)}. Set ` +
      `deadLetterQueue of ${queue} to null, move both queues, and set it again.`
  )
}

const namedMax = 10

/** The first names of a list. `name` is the member of an entry that holds its name. */
async function firstNames(cell: CellApi, path: string, list: string, name: string): Promise<string[]> {
  const page: Record<string, Record<string, string>[]> = JSON.parse(
    await cell.get(`${path}&limit=${namedMax}`)
  )
  return page[list]!.map(entry => entry[name]!)
}
