/** Dead-letter queues in a plan: no circle of them, and each made before the queues that name it. */
import type { QueueReport } from '../client/types.ts'
import { queueOperations } from '../fronts/rest/contract/queues.ts'
import type { DeclaredText } from './file.ts'
import type { Entry, Found, Id } from './kinds.ts'
import type { Service } from './restService.ts'

/**
 * Puts what is about a queue after what is about its dead-letter queue. The others keep their order.
 * So no step makes a circle for a moment, where the end has none.
 */
export function targetsFirst<T extends { id: Id }>(
  items: T[],
  targetOf: (item: T) => string | null | undefined
): T[] {
  const byName = new Map(items.map(item => [item.id[0], item]))
  const sorted = new Set<T>()
  const add = (item: T) => {
    if (sorted.has(item)) return
    const target = byName.get(targetOf(item) ?? '')
    if (target !== undefined && target !== item) add(target)
    sorted.add(item)
  }
  for (const item of items) add(item)
  return [...sorted]
}

/** Refuses a chain of dead-letter queues that leads back to its beginning, with the queues of the chain. */
export async function refuseCircles(
  entries: Entry[],
  found: Map<string, Found>,
  file: DeclaredText,
  service: Service,
  prune: boolean
): Promise<void> {
  const targets = new Map<string, string | null>()
  for (const { id, fields } of entries) {
    const kept = prune ? null : found.get(`queue ${id[0]}`)?.fields.deadLetterQueue
    targets.set(
      id[0],
      (fields.deadLetterQueue ?? ('deadLetterQueue' in fields ? null : kept) ?? null) as string | null
    )
  }
  for (const { id, path, fields } of entries) {
    if (fields.deadLetterQueue == null) continue
    const chain = [id[0]]
    for (let name: string | null = id[0]; name !== null && chain.indexOf(name) === chain.length - 1;) {
      if (!targets.has(name)) targets.set(name, await readTarget(service, name))
      name = targets.get(name)!
      if (name !== null) chain.push(name)
    }
    if (chain.length > 1 && chain.at(-1) === id[0]) {
      file.refuse(
        [...path, 'deadLetterQueue'],
        `A dead message would go round in a circle: ${chain.join(' -> ')}. Let one of these queues have ` +
          'another deadLetterQueue, or null.'
      )
    }
  }
}

/** Of a queue that the file does not have. A key that may not see it learns nothing; the service does. */
async function readTarget(service: Service, queue: string): Promise<string | null> {
  const report = await service.call<QueueReport>(queueOperations.getQueue, { queue }).catch(() => null)
  return report?.settings.deadLetterQueue ?? null
}
