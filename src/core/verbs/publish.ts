/** Publishing: a copy of each message for every queue whose subscription matches, in one commit. */
import type { Caller } from '../caller.ts'
import { inTurn } from '../engine/oneByOne.ts'
import type { Parts } from '../engine/parts.ts'
import { Recent } from '../engine/recent.ts'
import type { Siblings } from '../engine/siblings.ts'
import { partlyDone, QueueError } from '../errors.ts'
import { publishBytesMax, publishCopiesMax, publishStepsMax } from '../limits.ts'
import type { EnqueueAnswer, EnqueueRow } from '../ports.ts'
import type { Queue } from '../queue.ts'
import { Routes, type Publication, type Published, type PublishedCopy } from '../topic.ts'
import { contentBytesOf, rowBytes, rowsFor, type Enqueueing } from './enqueue.ts'

const topicsMax = 1000
/** Comparisons of words without a break: less than a millisecond. */
const pieceSteps = 50_000

/** What one call publishes. */
interface Publish {
  caller: Caller
  topic: string
  messages: Publication[]
  /** The call has a list of messages, so a refusal points into it. */
  list: boolean
}

/** A copy to store: the message at `index`, for a queue. */
interface Copy {
  index: number
  queue: Queue
}

type Needs = Pick<Parts, 'store' | 'turns' | 'siblings'>

/** core/broker.ts says what the methods do, and how they refuse. */
export class Publishing {
  readonly #enqueueing: Enqueueing
  readonly #topics: Recent<Routes>
  readonly #siblings: Siblings

  constructor({ store, turns, siblings }: Needs, enqueueing: Enqueueing) {
    this.#enqueueing = enqueueing
    this.#siblings = siblings
    siblings.answer('forgetTopic', async topic => {
      this.#topics.forget(topic)
      return null
    })
    this.#topics = new Recent({
      turns,
      namesMax: topicsMax,
      lookUp: async (topic, inUse) => {
        const subscriptions = await (inUse ? store.first : store).findTopic(topic)
        return subscriptions && new Routes(subscriptions)
      }
    })
  }

  /** The subscriptions of a topic were changed here: no process of the replica remembers the old ones. */
  async changed(topic: string): Promise<void> {
    this.#topics.forget(topic)
    await this.#siblings.ask('forgetTopic', topic)
  }

  async publish(
    caller: Caller,
    topic: string,
    messages: Publication[],
    list: boolean
  ): Promise<PublishedCopy[]> {
    const call = { caller, topic, messages, list }
    const copies = await this.#copiesOf(call)
    const stored = await this.#store(call, copies)
    if (!stored.includes(null)) return copiesStored(copies, stored)
    // A queue that was deleted in between has no subscription any more, and misses nothing. One whose
    // settings have changed still has its own.
    this.#topics.forget(topic)
    try {
      await this.#storeMissing(call, copies, stored)
    } catch (error) {
      throw stored.some(answer => answer !== null) ? partlyDone(error as Error) : error
    }
    return copiesStored(copies, stored)
  }

  async #copiesOf({ caller, topic, messages }: Publish): Promise<Copy[]> {
    const routes = this.#topics.fresh(topic) ?? (await this.#topics.find(caller, topic))
    return routes === null ? [] : await routed(caller, routes, messages)
  }

  async #store(call: Publish, copies: Copy[]): Promise<EnqueueAnswer[]> {
    if (copies.length === 0) return []
    const { caller, messages } = call
    const queues = [...new Set(copies.map(({ queue }) => queue))]
    // Thousands of rows are made only where there is room for them.
    const bytes = contentBytesOfAll(messages, copies) + copies.length * rowBytes
    this.#enqueueing.checkRoom(caller, messages, queues, bytes)
    return await this.#enqueueing.add(caller, rowsOf(call, copies), queues, true)
  }

  // Writes the answers of copies that still have a subscription into `stored`.
  async #storeMissing(call: Publish, copies: Copy[], stored: EnqueueAnswer[]): Promise<void> {
    const keyOf = ({ index, queue }: Copy) => `${index} ${queue.id}`
    const missing = new Map(
      copies.flatMap((copy, i) => (stored[i] === null ? [[keyOf(copy), i] as const] : []))
    )
    const found = await this.#copiesOf(call)
    const again = found.filter(copy => missing.has(keyOf(copy)))
    const answers = await this.#store(call, again)
    for (const [i, copy] of again.entries()) stored[missing.get(keyOf(copy))!] = answers[i]!
  }
}

function copiesStored(copies: Copy[], stored: EnqueueAnswer[]): PublishedCopy[] {
  return copies.flatMap(({ index, queue }, i) => {
    const answer = stored[i]!
    if (answer === null) return []
    const { id, duplicate, replaced = false } = answer
    return [{ index, queue: queue.name, id, duplicate, replaced }]
  })
}

// In the order of the messages, and of each by the names of the queues. Long work goes piece by piece.
async function routed(caller: Caller, routes: Routes, messages: Publication[]): Promise<Copy[]> {
  const copies: Copy[] = []
  const steps = messages.reduce((sum, { routingKey }) => sum + routes.stepsOf(routingKey), 0)
  if (steps > publishStepsMax) throw tooManySteps()
  let index = 0
  const piece = () => {
    for (let done = 0; index < messages.length && done < pieceSteps; index++) {
      const { routingKey } = messages[index]!
      done += routes.stepsOf(routingKey)
      const found = routes.of(routingKey)
      done += found.length
      for (const { queue } of found) copies.push({ index, queue })
      if (copies.length > publishCopiesMax) throw tooManyCopies()
    }
  }
  if (steps < pieceSteps) piece()
  while (index < messages.length) await inTurn(caller, piece)
  return copies
}

// Refuses with requestTooLarge.
function contentBytesOfAll(messages: Publication[], copies: Copy[]): number {
  const sizes = messages.map(contentBytesOf)
  const bytes = copies.reduce((sum, { index }) => sum + sizes[index]!, 0)
  if (bytes > publishBytesMax) throw tooManyCopies()
  return bytes
}

// Refuses what one of the queues refuses.
function rowsOf({ topic, messages, list }: Publish, copies: Copy[]): EnqueueRow[] {
  const makers = new Map(copies.map(({ queue }) => [queue, rowsFor(queue)]))
  const published = messages.map(({ routingKey }): Published => ({ topic, routingKey }))
  return copies.map(({ index, queue }) => {
    const row = makers.get(queue)!(messages[index]!, list ? `/messages/${index}` : '')
    row.published = published[index]
    return row
  })
}

function tooManySteps(): QueueError {
  return new QueueError(
    'requestTooLarge',
    'To find the queues of these messages would take too many comparisons of words; nothing was stored. ' +
      'Publish fewer messages at once, or give the subscriptions of the topic shorter patterns.'
  )
}

function tooManyCopies(): QueueError {
  return new QueueError(
    'requestTooLarge',
    `One publish stores at most ${publishCopiesMax} copies with ${publishBytesMax} bytes of bodies and ` +
      'headers; nothing was stored. Publish fewer messages at once.'
  )
}
