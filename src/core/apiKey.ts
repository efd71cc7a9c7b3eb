/** API keys: what they look like, what they may do, and how fast. Knows neither HTTP nor SQL. */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { QueueError } from './errors.ts'
import { apiKeyNameCharsMax } from './limits.ts'
import { everyQueue, namePattern, type NameScope } from './queue.ts'
import { Rate } from './rate.ts'

/**
 * What a key may do on a queue. `lease` includes settling. `manage` includes settings, purge,
 * redrive, retry, cancel and delete.
 */
export const queueActions = ['enqueue', 'lease', 'browse', 'manage'] as const
type QueueAction = (typeof queueActions)[number]
/** `admin` is all of it on every queue and topic, and API keys too. */
export type Action = QueueAction | 'admin'
/** What a key may do with a topic. To subscribe a queue, it must be able to manage that queue too. */
export const topicActions = ['publish', 'subscribe'] as const
export type TopicAction = (typeof topicActions)[number]

const anyAction = [...queueActions, ...topicActions].join('|')
const anyName = namePattern.slice(1, -1)
/**
 * A right is `admin`, or an action and queues or topics: `lease:mail` is for one queue,
 * `enqueue:orders-*` for those whose names begin so, `browse:*` for all.
 */
export const rightPattern = `^(admin|(${anyAction}):(\\*|${anyName}\\*?))$`
const oneOf = new Intl.ListFormat('en-GB', { type: 'disjunction' })
/** What a right is, for people: ends a sentence. */
export const rightInWords =
  `admin, or an action and a name, such as lease:mail, enqueue:orders-* or browse:*. The action on a queue ` +
  `is ${oneOf.format(queueActions)}, and the action on a topic is ${oneOf.format(topicActions)}`
/**
 * With the flag u. No control characters, because terminals show the names. No format characters or
 * line separators: they are invisible, and some turn the text around, so a name could pose as
 * another.
 */
export const keyNamePattern = `^[^\\p{Cc}\\p{Cf}\\p{Cs}\\p{Zl}\\p{Zp}]{1,${apiKeyNameCharsMax}}$`

export interface ApiKeyGrant {
  /** Tells people who uses the key. */
  name: string
  rights: string[]
  /** null: no bound. Each replica counts its own requests and messages. */
  requestsPerSecond: number | null
  messagesPerSecond: number | null
}

/** What a new key may do. `secret` is given where the key was made elsewhere, as in another cell. */
export interface NewApiKey extends ApiKeyGrant {
  secret?: string
}

/** What a key may do, to change. What is left out stays as it is. */
export type ApiKeyChange = Partial<Omit<ApiKeyGrant, 'name'>>

export interface ApiKeyInfo extends ApiKeyGrant {
  id: string
  createdAt: string
}
export interface StoredApiKey extends ApiKeyInfo {
  digest: Buffer
}

/** What makes a key: its id, its secret, which is shown once and never stored, and the secret's digest. */
interface KeyParts {
  id: string
  secret: string
  digest: Buffer
}

/** Makes a new key. */
export function makeKey(): KeyParts {
  const id = randomBytes(5).toString('hex')
  return keyOf(`hf_${id}_${randomBytes(32).toString('base64url')}`)
}

/** A key that was made elsewhere. Its secret has the form of `keySecretPattern`. */
export function keyOf(secret: string): KeyParts {
  return { id: keyPattern.exec(secret)![1]!, secret, digest: digestOf(secret) }
}

export const keySecretPattern = '^hf_([0-9a-f]{10})_[A-Za-z0-9_-]{43}$'
const keyPattern = new RegExp(keySecretPattern)

function digestOf(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}

/** A key in use: its rights, and what it has used of its rates. */
export class ApiKey {
  readonly id: string
  readonly name: string
  readonly digest: Buffer
  requests!: Rate
  messages!: Rate
  #rights: string[] = []
  #admin!: boolean
  #onQueues!: Rights
  #onTopics!: Rights
  readonly #listeners = new Set<() => void>()
  #ended = false

  constructor(stored: StoredApiKey) {
    this.id = stored.id
    this.name = stored.name
    this.digest = stored.digest
    this.grant(stored)
  }

  /**
   * Takes the rights and rates that the key has now. A rate that stays keeps what it has used. Where
   * the rights have changed, calls that wait under the key end, as if nothing had come.
   */
  grant({ rights, requestsPerSecond, messagesPerSecond }: Omit<ApiKeyGrant, 'name'>): void {
    if (this.requests?.perSecond !== requestsPerSecond) this.requests = new Rate(requestsPerSecond)
    if (this.messages?.perSecond !== messagesPerSecond) this.messages = new Rate(messagesPerSecond)
    if (isDeepStrictEqual(rights, this.#rights)) return
    this.#rights = rights
    this.#admin = rights.includes('admin')
    this.#onQueues = new Rights(rights, queueActions)
    this.#onTopics = new Rights(rights, topicActions)
    this.#endWaits()
  }

  /** Whether the key may do this on the queue. */
  may(action: Action, queue: string): boolean {
    return this.#admin || this.#onQueues.allow(action, queue)
  }

  /** Whether the key may do this with the topic. */
  mayOnTopic(action: TopicAction, topic: string): boolean {
    return this.#admin || this.#onTopics.allow(action, topic)
  }

  /** Whether the key was revoked. A request of it may still be under way. */
  get ended(): boolean {
    return this.#ended
  }

  /**
   * Calls `listener` when the key is revoked, or gets other rights. Answers a function that stops
   * listening.
   */
  onEnd(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The key was revoked: ends the calls that wait under it. */
  end(): void {
    this.#ended = true
    this.#endWaits()
  }

  #endWaits(): void {
    for (const listener of this.#listeners) listener()
  }

  get isAdmin(): boolean {
    return this.#admin
  }

  /** Whether the key has any right to the queue. To a key without one, the queue does not exist. */
  sees(queue: string): boolean {
    return this.#admin || this.#onQueues.touch(queue)
  }

  /** Whether the key has any right to the topic. To a key without one, the topic does not exist. */
  seesTopic(topic: string): boolean {
    return this.#admin || this.#onTopics.touch(topic)
  }

  /**
   * The queues on which the key may do this: names, and prefixes of names. The prefix '' is all
   * queues.
   */
  within(action: Action): NameScope {
    return this.#admin ? everyQueue : this.#onQueues.within(action)
  }

  /** The topics with which the key may do this. */
  topicsWithin(action: TopicAction): NameScope {
    return this.#admin ? everyQueue : this.#onTopics.within(action)
  }

  /** The queues to which the key has any right. */
  get queues(): NameScope {
    return union(queueActions.map(action => this.within(action)))
  }

  /** The topics to which the key has any right. */
  get topics(): NameScope {
    return union(topicActions.map(action => this.topicsWithin(action)))
  }
}

const union = (scopes: NameScope[]): NameScope => ({
  names: scopes.flatMap(({ names }) => names),
  prefixes: scopes.flatMap(({ prefixes }) => prefixes)
})

/** Rights of a key: actions, on names and on prefixes of names. */
class Rights {
  readonly #exact = new Map<string, Set<string>>()
  readonly #prefixes: { action: string; prefix: string }[] = []

  /** Takes those of the rights that are about these actions. */
  constructor(rights: string[], actions: readonly string[]) {
    for (const right of rights) {
      const [action, names] = right.split(':') as [string, string | undefined]
      if (names === undefined || !actions.includes(action)) continue
      if (names.endsWith('*')) this.#prefixes.push({ action, prefix: names.slice(0, -1) })
      else this.#exact.set(names, (this.#exact.get(names) ?? new Set()).add(action))
    }
  }

  allow(action: string, name: string): boolean {
    return (
      this.#exact.get(name)?.has(action) === true ||
      this.#prefixes.some(right => right.action === action && name.startsWith(right.prefix))
    )
  }

  /** Whether there is any right to the name. */
  touch(name: string): boolean {
    return this.#exact.has(name) || this.#prefixes.some(({ prefix }) => name.startsWith(prefix))
  }

  within(action: string): NameScope {
    return {
      names: [...this.#exact].filter(([, actions]) => actions.has(action)).map(([name]) => name),
      prefixes: this.#prefixes.filter(right => right.action === action).map(({ prefix }) => prefix)
    }
  }
}

/**
 * Keys that were read longer ago are not trusted: a revoked key is refused within five seconds,
 * even while the database does not answer.
 */
const ageMsMax = 4500

/** All keys, as the database held them a second or two ago. */
export class ApiKeyRing {
  readonly #now: () => number
  readonly #own: ApiKey[]
  #keys = new Map<string, ApiKey>()
  #rated: ApiKey[] = []
  #readMs = -Infinity
  #inForce: boolean

  /** `adminSecret` is an admin key that comes from a file, and is stored nowhere. */
  constructor(adminSecret: string | null, now = () => performance.now()) {
    this.#now = now
    this.#own =
      adminSecret === null
        ? []
        : [
            new ApiKey({
              id: 'file',
              name: 'HOLDFAST_ADMIN_KEY_FILE',
              digest: digestOf(adminSecret),
              rights: ['admin'],
              requestsPerSecond: null,
              messagesPerSecond: null,
              createdAt: ''
            })
          ]
    this.#inForce = adminSecret !== null
  }

  /**
   * Whether callers need a key. True from the first key on, until the process ends: revoking the
   * last key opens nothing.
   */
  get inForce(): boolean {
    return this.#inForce
  }

  /**
   * Takes the keys that the database holds now, and ends those that are missing. A key that stays
   * keeps what it has used of its rates.
   */
  replace(stored: StoredApiKey[]): void {
    const before = this.#keys
    this.#keys = new Map(
      stored.map(key => {
        const known = before.get(key.id)
        const isSame = known?.digest.equals(key.digest) === true
        if (isSame) known.grant(key)
        return [key.id, isSame ? known : new ApiKey(key)]
      })
    )
    this.#rated = [...this.#keys.values()].filter(key => key.requests.bounded || key.messages.bounded)
    for (const [id, key] of before) if (this.#keys.get(id) !== key) key.end()
    this.#readMs = this.#now()
    if (stored.length > 0) this.#inForce = true
  }

  /** The keys of the database that have a rate. */
  get rated(): ApiKey[] {
    return this.#rated
  }

  /** The key with this id. undefined when there is none, or no longer. */
  find(id: string): ApiKey | undefined {
    return this.#own.find(key => key.id === id) ?? this.#keys.get(id)
  }

  /**
   * The key with this secret. null when there is none. Refuses with databaseUnavailable when the
   * keys were read too long ago to tell whether this one was revoked.
   */
  identify(secret: string): ApiKey | null {
    const digest = digestOf(secret)
    for (const key of this.#own) if (timingSafeEqual(key.digest, digest)) return key
    const id = keyPattern.exec(secret)?.[1]
    const key = id === undefined ? undefined : this.#keys.get(id)
    if (key === undefined || !timingSafeEqual(key.digest, digest)) return null
    this.#checkAge()
    return key
  }

  /**
   * The key of the database with this id, for a caller that proves by a signature that it is its. null
   * when there is none. Refuses as `identify` does.
   */
  signer(id: string): ApiKey | null {
    const key = this.#keys.get(id)
    if (key === undefined) return null
    this.#checkAge()
    return key
  }

  #checkAge(): void {
    if (this.#now() <= this.#readMs + ageMsMax) return
    throw new QueueError(
      'databaseUnavailable',
      'The database does not answer, so nobody can tell whether this key was revoked; nothing was ' +
        'changed. Send the request again.'
    )
  }
}
