/** Publishing: a copy of each message for every queue whose subscription matches, in one commit. */
import { setImmediate as turn } from 'node:timers/promises'
import type { Caller } from '../caller.ts'
import type { Parts } from '../engine/parts.ts'
import { Recent } from '../engine/recent.ts'
import { QueueError } from '../errors.ts'
import { messageBytesMax, publishBytesMax, publishCopiesMax } from '../limits.ts'
import { checkBodySize } from '../message.ts'
import { priorityDefault } from '../options.ts'
import type { EnqueueRow } from '../ports.ts'
import { enqueueDefaultsOf, type Queue } from '../queue.ts'
import { Routes, type Publication, type Published, type PublishedCopy } from '../topic.ts'
import type { Enqueueing } from './enqueue.ts'

const topicsMax = 1000
/** After this long, routing lets other work of the event loop go first. */
const routingMsMax = 5

/** A copy to store: the message at `index`, for a queue. */
interface Copy {
  index: number
  queue: Queue
}

type Needs = Pick<Parts, 'store' | 'turns'>

/** The broker says what the method does, and how it refuses. */
export class Publishing {
  readonly #enqueueing: Enqueueing
  readonly #topics: Recent<Routes>

  constructor({ store, turns }: Needs, enqueueing: Enqueueing) {
    this.#enqueueing = enqueueing
    this.#topics = new Recent({
      turns,
      namesMax: topicsMax,
      lookUp: async (topic, inUse) => {
        const subscriptions = await (inUse ? store.first : store).findTopic(topic)
        return subscriptions && new Routes(subscriptions)
      }
    })
  }

  /** Forgets the subscriptions of a topic, which were changed. */
  forget(topic: string): void {
    this.#topics.forget(topic)
  }

  async publish(
    caller: Caller,
    topic: string,
    messages: Publication[],
    list: boolean
  ): Promise<PublishedCopy[]> {
    const routes = this.#topics.fresh(topic) ?? (await this.#topics.find(caller, topic))
    const copies = routes === null ? [] : await routed(routes, messages)
    if (copies.length === 0) return []
    const queues = [...new Set(copies.map(({ queue }) => queue))]
    checkSizes(queues, copies, messages, list)
    const rows = rowsOf(topic, copies, messages)
    const answers = await this.#enqueueing.add(caller, rows, queues, true)
    // A queue that was deleted in between has no subscription any more, and misses nothing.
    if (answers.includes(null)) this.forget(topic)
    return copies.flatMap(({ index, queue }, i) => {
      const answer = answers[i]!
      return answer === null ? [] : [{ index, queue: queue.name, ...answer }]
    })
  }
}

// In the order of the messages, and of each by the names of the queues.
async function routed(routes: Routes, messages: Publication[]): Promise<Copy[]> {
  const copies: Copy[] = []
  let sinceMs = performance.now()
  for (const [index, { routingKey }] of messages.entries()) {
    for (const { queue } of routes.of(routingKey)) copies.push({ index, queue })
    if (copies.length > publishCopiesMax) throw tooManyCopies()
    if (messages.length > 1 && performance.now() - sinceMs > routingMsMax) {
      await turn()
      sinceMs = performance.now()
    }
  }
  return copies
}

function rowsOf(topic: string, copies: Copy[], messages: Publication[]): EnqueueRow[] {
  const defaults = new Map(copies.map(({ queue }) => [queue, enqueueDefaultsOf(queue.settings)]))
  const published = messages.map(({ routingKey }): Published => ({ topic, routingKey }))
  return copies.map(({ index, queue }) => ({
    ...messages[index]!,
    queueId: queue.id,
    priority: messages[index]!.priority ?? priorityDefault,
    defaults: defaults.get(queue)!,
    published: published[index]
  }))
}

function checkSizes(queues: Queue[], copies: Copy[], messages: Publication[], list: boolean): void {
  const bytes = copies.reduce((sum, { index }) => sum + messages[index]!.body.length, 0)
  if (bytes > publishBytesMax) throw tooManyCopies()
  if (queues.every(({ settings }) => settings.messageBytesMax >= messageBytesMax)) return
  for (const { index, queue } of copies) {
    const pointer = list ? `/messages/${index}` : ''
    checkBodySize(messages[index]!.body, pointer, queue.settings.messageBytesMax, queue.name)
  }
}

function tooManyCopies(): QueueError {
  return new QueueError(
    'requestTooLarge',
    `One publish stores at most ${publishCopiesMax} copies with ${publishBytesMax} bytes of bodies; nothing ` +
      'was stored. Publish fewer messages at once.'
  )
}
