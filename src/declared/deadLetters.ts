/** Dead-letter queues in a plan: no circle of them, and each made before the queues that name it. */
import type { QueueReport } from '../client/types.ts'
import { queueOperations } from '../fronts/rest/contract/queues.ts'
import type { DeclaredText } from './file.ts'
import type { Entry, Found, Id } from './kinds/kind.ts'
import type { Service } from './restService.ts'
import type { Fields } from './shape.ts'

/** Where dead messages of a queue go. Only queues have such a field. */
const targetIn = (fields: Fields) => (fields.deadLetterQueue ?? null) as string | null

/**
 * Puts each queue after its dead-letter queue. The others keep their order. So no step makes a circle for
 * a moment, where the end has none.
 */
export function targetsFirst<T extends { id: Id; fields: Fields }>(things: T[]): T[] {
  const byName = new Map(things.map(thing => [thing.id[0], thing]))
  const visited = new Set<T>()
  const sorted: T[] = []
  const add = (thing: T) => {
    if (visited.has(thing)) return
    visited.add(thing)
    const target = targetIn(thing.fields)
    const first = target === null ? undefined : byName.get(target)
    if (first !== undefined) add(first)
    sorted.push(thing)
  }
  for (const thing of things) add(thing)
  return sorted
}

/** Refuses a chain of dead-letter queues that leads back to its beginning, with the queues of the chain. */
export async function refuseCircles(
  { entries, found }: { entries: Entry[]; found: Map<string, Found> },
  { file, service, prune }: { file: DeclaredText; service: Service; prune: boolean }
): Promise<void> {
  const current = new Map([...found.values()].map(({ id, fields }) => [id[0], fields]))
  const targets = new Map<string, string | null>()
  for (const { id, fields } of entries) {
    // What the file leaves out stays, unless it is pruned.
    const isKept = !('deadLetterQueue' in fields) && !prune
    targets.set(id[0], targetIn(isKept ? (current.get(id[0]) ?? {}) : fields))
  }
  const targetOf = async (queue: string) => {
    if (!targets.has(queue)) targets.set(queue, await readTarget(service, queue))
    return targets.get(queue)!
  }
  for (const { id, path, fields } of entries) {
    if (targetIn(fields) === null) continue
    const chain = await chainFrom(id[0], targetOf)
    if (chain.length === 1 || chain.at(-1) !== id[0]) continue
    file.refuse(
      [...path, 'deadLetterQueue'],
      `A dead message would go round in a circle: ${chain.join(' -> ')}. Let one of these queues have ` +
        'another deadLetterQueue, or null.'
    )
  }
}

/** The queues that a dead message passes, up to the last one, or to the first that comes again. */
async function chainFrom(
  queue: string,
  targetOf: (queue: string) => Promise<string | null>
): Promise<string[]> {
  const chain = [queue]
  for (let next = await targetOf(queue); next !== null; next = await targetOf(next)) {
    const isRound = chain.includes(next)
    chain.push(next)
    if (isRound) break
  }
  return chain
}

/** Of a queue that the file does not have. A key that may not see it learns nothing; the service does. */
async function readTarget(service: Service, queue: string): Promise<string | null> {
  const report = await service.call<QueueReport>(queueOperations.getQueue, { queue }).catch(() => null)
  return report?.settings.deadLetterQueue ?? null
}
