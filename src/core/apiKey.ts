/** API keys: what they look like, what they may do and how fast. Knows neither HTTP nor SQL. */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { QueueError } from './errors.ts'

/**
 * On queues. `lease` includes settling, `manage` settings, purge, redrive, retry, cancel and
 * delete; `admin` is all of it on every queue, and keys.
 */
export type Action = 'enqueue' | 'lease' | 'browse' | 'manage' | 'admin'

/**
 * `lease:mail` for one queue, `enqueue:orders-*` for all whose name begins so, `browse:*` for all;
 * `admin` stands alone.
 */
export const rightPattern =
  '^(admin|(enqueue|lease|browse|manage):(\\*|[A-Za-z0-9][A-Za-z0-9_.-]{0,79}\\*?))$'
/** No control characters, since names are shown on terminals. */
export const keyNamePattern = '^[^\\x00-\\x1f\\x7f-\\x9f]{1,128}$'

export interface ApiKeyGrant {
  /** For people: who uses it. */
  name: string
  rights: string[]
  /** null: no bound. Each replica counts for itself. */
  requestsPerSecond: number | null
  messagesPerSecond: number | null
}

export interface ApiKeyInfo extends ApiKeyGrant {
  id: string
  createdAt: string
}
export interface StoredApiKey extends ApiKeyInfo {
  digest: Buffer
}

/** A new key: `secret` is shown once and never stored. */
export function makeKey(): { id: string; secret: string; digest: Buffer } {
  const id = randomBytes(5).toString('hex')
  const secret = `hf_${id}_${randomBytes(32).toString('base64url')}`
  return { id, secret, digest: digestOf(secret) }
}

const keyPattern = /^hf_([0-9a-f]{10})_[A-Za-z0-9_-]{43}$/

function digestOf(secret: string): Buffer {
  return hash('sha256', secret, 'buffer')
}

/** One key in use: its rights made ready for asking, and what it has used of its rates. */
export class ApiKey {
  readonly id: string
  readonly digest: Buffer
  readonly requests: Rate
  readonly messages: Rate
  readonly #admin: boolean
  readonly #exact = new Map<string, Set<string>>()
  readonly #prefixes: { action: string; prefix: string }[] = []
  readonly #waiting = new Set<() => void>()
  #ended = false

  constructor({ id, digest, rights, requestsPerSecond, messagesPerSecond }: StoredApiKey) {
    this.id = id
    this.digest = digest
    this.requests = new Rate(requestsPerSecond)
    this.messages = new Rate(messagesPerSecond)
    this.#admin = rights.includes('admin')
    for (const right of rights) {
      const [action, queues] = right.split(':') as [string, string | undefined]
      if (queues === undefined) continue
      if (queues.endsWith('*')) this.#prefixes.push({ action, prefix: queues.slice(0, -1) })
      else this.#exact.set(queues, (this.#exact.get(queues) ?? new Set()).add(action))
    }
  }

  may(action: Action, queue: string): boolean {
    return (
      this.#admin ||
      this.#exact.get(queue)?.has(action) === true ||
      this.#prefixes.some(one => one.action === action && queue.startsWith(one.prefix))
    )
  }

  /** Whether it has been revoked while a request of it was under way. */
  get ended(): boolean {
    return this.#ended
  }

  /** For a call that waits: called when the key is revoked. Answers with the end of listening. */
  onEnd(listener: () => void): () => void {
    this.#waiting.add(listener)
    return () => this.#waiting.delete(listener)
  }

  end(): void {
    this.#ended = true
    for (const listener of this.#waiting) listener()
  }

  get isAdmin(): boolean {
    return this.#admin
  }

  /** Whether it has any right to the queue; to a key that has none the queue is not there. */
  sees(queue: string): boolean {
    return (
      this.#admin || this.#exact.has(queue) || this.#prefixes.some(({ prefix }) => queue.startsWith(prefix))
    )
  }

  /** The queues on which it may do something, as names and beginnings of names; a beginning of '' is all. */
  within(action: Action): { names: string[]; prefixes: string[] } {
    if (this.#admin) return { names: [], prefixes: [''] }
    return {
      names: [...this.#exact].filter(([, actions]) => actions.has(action)).map(([name]) => name),
      prefixes: this.#prefixes.filter(one => one.action === action).map(({ prefix }) => prefix)
    }
  }
}

/** So many a second, a second's worth at once; whoever takes more than is left pays it back by waiting. */
export class Rate {
  readonly #perSecond: number | null
  #left: number
  #atMs = performance.now()

  constructor(perSecond: number | null) {
    this.#perSecond = perSecond
    this.#left = Math.max(1, perSecond ?? 0)
  }

  /** Whether nothing is left just now. */
  get spent(): boolean {
    if (this.#perSecond === null) return false
    const nowMs = performance.now()
    this.#left = Math.min(
      Math.max(1, this.#perSecond),
      this.#left + ((nowMs - this.#atMs) / 1000) * this.#perSecond
    )
    this.#atMs = nowMs
    return this.#left <= 0
  }

  /** Refuses with rateLimited when nothing is left. */
  check(what: string): void {
    if (this.#perSecond === null || !this.spent) return
    throw new QueueError(
      'rateLimited',
      `This key has used up its ${this.#perSecond} ${what} a second; nothing was changed. Send the ` +
        'request again after the time in Retry-After.',
      {
        retryAfterSeconds: Math.max(1, Math.ceil(-this.#left / this.#perSecond))
      }
    )
  }

  take(count: number): void {
    this.#left -= count
  }
}

/**
 * Keys older than this are not trusted, so that a revoked one is refused within five seconds even
 * where the database does not answer.
 */
const ageMsMax = 4500

/** The keys of this moment, read from the database every second or two. */
export class ApiKeyRing {
  readonly #now: () => number
  readonly #own: ApiKey[]
  #keys = new Map<string, ApiKey>()
  #readMs = -Infinity
  #inForce: boolean

  /** `adminSecret` is an admin key that is given from outside and stored nowhere. */
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
   * Whether callers need a key: from the first one on, until the end of the process, so that
   * revoking the last opens nothing.
   */
  get inForce(): boolean {
    return this.#inForce
  }

  /** Takes what the database holds now; a key that stays keeps what it has used of its rates. */
  replace(stored: StoredApiKey[]): void {
    const known = this.#keys
    // The rights and rates of a key never change, so one with the same digest is the same.
    this.#keys = new Map(
      stored.map(key => [
        key.id,
        known.get(key.id)?.digest.equals(key.digest) ? known.get(key.id)! : new ApiKey(key)
      ])
    )
    for (const [id, key] of known) if (this.#keys.get(id) !== key) key.end()
    this.#readMs = this.#now()
    if (stored.length > 0) this.#inForce = true
  }

  /**
   * The key that this is; null when there is none. Refuses with databaseUnavailable when it cannot
   * be said whether the key still holds.
   */
  identify(secret: string): ApiKey | null {
    const digest = digestOf(secret)
    for (const key of this.#own) if (timingSafeEqual(key.digest, digest)) return key
    const id = keyPattern.exec(secret)?.[1]
    const key = id === undefined ? undefined : this.#keys.get(id)
    if (key === undefined || !timingSafeEqual(key.digest, digest)) return null
    if (this.#now() > this.#readMs + ageMsMax) {
      throw new QueueError(
        'databaseUnavailable',
        'The database cannot be asked just now whether this key still holds; nothing was changed. ' +
          'Send the request again.'
      )
    }
    return key
  }
}
