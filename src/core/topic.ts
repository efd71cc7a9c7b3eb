/** A topic: its subscriptions, and which of them a routing key matches. */
import { QueueError } from './errors.ts'
import { routingKeyCharsMax, subscriptionsMax, subscriptionsPerTopicMax } from './limits.ts'
import type { Caller } from './caller.ts'
import { checkOneMore, type Holding } from './fairShare.ts'
import type { Digits, NewMessage } from './message.ts'
import type { Queue } from './queue.ts'

/** A word of a routing key: any character but a dot, NUL, and half of a surrogate pair. */
const word = '[^.\\u0000\\ud800-\\udfff]+'
/** With the flag u: words joined by dots. It has at most `routingKeyCharsMax` characters. */
export const routingKeyPattern = `^${word}(?:\\.${word})*$`
export const routingKeyHelp =
  `1 to ${routingKeyCharsMax} characters: ` + 'words joined by dots, none of them empty.'

/** Matches every message, one without a routing key too. */
export const patternDefault = '#'

/** What a publish says of a message beside what an enqueue says. */
export interface Publication extends NewMessage {
  routingKey?: string | undefined
}

/** What a copy tells of its publish. */
export interface Published {
  topic: string
  routingKey?: string | undefined
}

/** A copy that was stored, of the message at `index` of the publish. */
export interface PublishedCopy {
  index: number
  queue: string
  id: Digits
  duplicate: boolean
  /** It held the unique key, and has the new content now. */
  replaced: boolean
}

export interface Subscription {
  queue: Queue
  pattern: string
}

export interface TopicReport {
  topic: string
  subscriptions: { queue: string; pattern: string }[]
}

/** Subscriptions before a new one is made. */
export interface HeldSubscriptions {
  /** There is one of this queue to this topic. */
  exists: boolean
  ofAll: Holding
  ofTopic: Holding
}

/** What stands for `#` and `*` among the numbers of a pattern's words. */
export const anyWords = -1
export const oneWord = -2
/** What stands for a word that no pattern of the topic has. */
const otherWord = 0

/**
 * Whether a routing key has the words that a pattern asks for, one by one. Words are numbers, which are
 * compared ten times as fast as texts.
 */
export function matches(pattern: readonly number[], key: readonly number[]): boolean {
  let at = 0
  let keyAt = 0
  // Where the last # stands, and the first word that it leaves to the words after it.
  let hashAt = -1
  let triedFrom = 0
  while (keyAt < key.length) {
    if (pattern[at] === anyWords) {
      hashAt = at++
      triedFrom = keyAt
    } else if (at < pattern.length && (pattern[at] === oneWord || pattern[at] === key[keyAt])) {
      at++
      keyAt++
    } else if (hashAt >= 0) {
      // The last # takes one word more.
      at = hashAt + 1
      keyAt = ++triedFrom
    } else {
      return false
    }
  }
  while (pattern[at] === anyWords) at++
  return at === pattern.length
}

/** Matches that the routes of one topic remember. */
const rememberedMax = 2000

/** The subscriptions of a topic, by routing key. */
export class Routes {
  readonly subscriptions: Subscription[]
  readonly #patterns: number[][]
  /** The words of all patterns, each with a number. */
  readonly #numbers = new Map([
    ['#', anyWords],
    ['*', oneWord]
  ])
  readonly #patternWords: number
  readonly #remembered = new Map<string, Subscription[]>()
  #weight = 0

  constructor(subscriptions: Subscription[]) {
    this.subscriptions = subscriptions
    this.#patterns = subscriptions.map(({ pattern }) => pattern.split('.').map(word => this.#numberOf(word)))
    this.#patternWords = this.#patterns.reduce((sum, { length }) => sum + length, 0)
  }

  /** The most comparisons of words that a look-up takes; 1 where its answer is remembered. */
  stepsOf(routingKey = ''): number {
    return this.#remembered.has(routingKey) ? 1 : this.#patternWords * (routingKey.split('.').length + 1)
  }

  /** The subscriptions whose patterns match. No key has the empty text. */
  of(routingKey = ''): Subscription[] {
    const remembered = this.#remembered.get(routingKey)
    if (remembered !== undefined) return remembered
    // A word `*` or `#` of a key is an ordinary one.
    const numberOf = (word: string) => Math.max(this.#numbers.get(word) ?? otherWord, otherWord)
    const words = routingKey === '' ? [] : routingKey.split('.').map(numberOf)
    const found = this.subscriptions.filter((_, index) => matches(this.#patterns[index]!, words))
    this.#weight += found.length + 1
    if (this.#weight > rememberedMax) {
      this.#remembered.clear()
      this.#weight = found.length + 1
    }
    this.#remembered.set(routingKey, found)
    return found
  }

  #numberOf(word: string): number {
    const number = this.#numbers.get(word) ?? this.#numbers.size
    this.#numbers.set(word, number)
    return number
  }
}

/** Refuses with tooManySubscriptions when a bound leaves no room for one more. */
export function checkSubscriptionRoom(
  topic: string,
  { ofAll, ofTopic }: HeldSubscriptions,
  { isAdmin }: Caller
): void {
  const bounds = [
    { held: ofTopic, max: subscriptionsPerTopicMax, where: `The topic ${topic} has` },
    { held: ofAll, max: subscriptionsMax, where: 'All topics together have' }
  ]
  for (const { held, max, where } of bounds) {
    checkOneMore(
      { max, held, isAdmin },
      {
        code: 'tooManySubscriptions',
        total: `${where} ${held.all} subscriptions already`,
        share:
          `This caller has made ${held.mine} subscriptions of the ${max} there may be. ` +
          'That is its share',
        advice: 'Delete a subscription that nobody needs.'
      }
    )
  }
}

/** A key without a right to the topic gets the same code, from the guard. */
export function topicNotFound(topic: string): QueueError {
  return new QueueError(
    'topicNotFound',
    `There is no topic ${topic}. PUT /topics/${topic}/subscriptions/{queue} makes it.`
  )
}
