/**
 * The hosts of a URL with several. New connections go to the one that takes writes, and those to a
 * host that no longer does are closed.
 */
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import pg from 'pg'
import { isServerError, reasonOf } from './databaseErrors.ts'
import { objectionTo, readHostFacts, type HostFacts, type HostRole, type SeenCluster } from './hostFacts.ts'

/** How to connect, for pg's Client and Pool. With `hosts`, they say where. */
export type Target = pg.ClientConfig & { hosts?: Hosts }

/** One host of a URL. */
export interface Host {
  /** As the URL has it: host:port. */
  name: string
  /** How to connect to it, in the order in which to try: two for sslmode allow and prefer. */
  ways: pg.ClientConfig[]
}

/** What a host answered, or why it did not. */
interface HostAnswer {
  name: string
  facts: HostFacts | null
  error: unknown
}

/** No host takes writes. The message says why, host by host. */
export class NoWriter extends Error {}

interface Watcher {
  /** Hears that connections now go to this host. */
  onMoved: (name: string) => void
  onError: (error: unknown) => void
}

const connectMsMax = 3000
/** Between two looks at the host that takes writes, and between two questions to one that does not. */
const lookMs = 250
/** A host that has not answered a look for this long may be frozen, so the others are asked. */
const lookAnswerMsMax = 500
/** Between two questions to all hosts: perhaps another was promoted while ours goes on. */
const surveyMs = 5000
/** At the first search, an answer of another host may show that the first writer is an old primary. */
const firstSearchMs = 500
const connectAttemptsMax = 3

export class Hosts {
  readonly #hosts: Host[]
  readonly #wanted: HostRole
  readonly #setting: string
  /** The way by which each host was last reached. */
  readonly #ways = new Map<Host, pg.ClientConfig>()
  readonly #clients = new Map<pg.ClientBase, Host>()
  #writer: Host | null = null
  #seen: SeenCluster | null = null
  #searching: Promise<void> | null = null
  #onMoved: (name: string) => void = () => {}

  /** `setting` holds the URL, and is named in what is said to people. */
  constructor(hosts: Host[], wanted: HostRole, setting: string) {
    this.#hosts = hosts
    this.#wanted = wanted
    this.#setting = setting
  }

  /** For pg's Pool: a client that goes to the host that takes writes. Each is to be admitted. */
  get Client(): new (config?: pg.ClientConfig) => pg.Client {
    const configOf = (config?: pg.ClientConfig) => ({
      ...config,
      ...this.#wayOf(this.#writer ?? this.#hosts[0]!)
    })
    const keep = (client: pg.ClientBase) => this.#keep(client, this.#writer ?? this.#hosts[0]!)
    return class extends pg.Client {
      constructor(config?: pg.ClientConfig) {
        super(configOf(config))
        keep(this)
      }
    }
  }

  /** Gives a new connection its settings, and throws when its host takes no writes. */
  async admit(client: pg.ClientBase, settings: string): Promise<void> {
    const host = this.#clients.get(client)!
    const facts = await readHostFacts(client, `${settings}; `)
    const objection = this.#objectionTo(facts)
    if (objection !== null) throw new Error(`${host.name} ${objection}`)
  }

  /** A connection outside the pool. Throws NoWriter when no host takes writes. */
  async connect(config: pg.ClientConfig): Promise<pg.Client> {
    for (let attempt = 1; ; attempt++) {
      if (this.#writer === null || attempt > 1) await this.search()
      const client = new this.Client({ connectionTimeoutMillis: connectMsMax, ...config })
      client.on('error', () => {}) // the query under way reports it
      try {
        await client.connect()
        await this.admit(client, 'select')
        return client
      } catch (error) {
        destroy(client)
        if (attempt === connectAttemptsMax) throw error
      }
    }
  }

  /**
   * Looks for the host that takes writes. All are asked at once, and again while one has not
   * answered yet. Callers share a search. Throws NoWriter when all have answered, and none does.
   */
  search(): Promise<void> {
    this.#searching ??= this.#search().finally(() => {
      this.#searching = null
    })
    return this.#searching
  }

  /** Asks each host once. */
  survey(): Promise<HostAnswer[]> {
    return Promise.all(this.#hosts.map(host => this.#ask(host)))
  }

  /** Looks at the host that takes writes, and follows when another does. */
  watch({ onMoved, onError }: Watcher): { stop(): Promise<void> } {
    this.#onMoved = onMoved
    const stopping = new AbortController()
    const looking = this.#look(stopping.signal, onError)
    const surveying = this.#surveyAgain(stopping.signal)
    return {
      async stop() {
        stopping.abort()
        await Promise.all([looking, surveying])
      }
    }
  }

  async #look(signal: AbortSignal, onError: (error: unknown) => void): Promise<void> {
    let client: pg.Client | null = null
    while (!signal.aborted) {
      const wasOpen: boolean = client !== null
      try {
        if (client === null) {
          await this.search()
          client = await this.connect({ application_name: 'holdfast watch' })
        }
        await this.#lookAt(client)
      } catch (error) {
        if (client !== null) destroy(client)
        client = null
        if (!signal.aborted) onError(error)
        if (wasOpen) continue // searches at once
      }
      await pauseUntil(signal, lookMs)
    }
    if (client !== null) destroy(client)
  }

  /** Throws when the host of the connection takes no writes any more, and closes all to it. */
  async #lookAt(client: pg.Client): Promise<void> {
    const host = this.#clients.get(client)
    const objection = this.#objectionTo(await readHostFacts(client, '', lookAnswerMsMax))
    if (host === undefined || objection === null) return
    this.#leave(each => each === host)
    throw new Error(`${host.name} ${objection}`)
  }

  async #surveyAgain(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await pauseUntil(signal, surveyMs)
      if (!signal.aborted && this.#searching === null) this.#choose(await this.survey())
    }
  }

  async #search(): Promise<void> {
    const answers = new Map<Host, HostAnswer>()
    const over = new AbortController()
    const isFirst = this.#seen === null
    const startedMs = performance.now()
    let isFound = false
    const judge = () => {
      const haveAllAnswered = answers.size === this.#hosts.length
      if (haveAllAnswered || !isFirst || performance.now() > startedMs + firstSearchMs) {
        isFound = this.#choose([...answers.values()])
      }
      if (isFound || haveAllAnswered) over.abort()
    }
    const ask = async (host: Host) => {
      while (!over.signal.aborted) {
        answers.set(host, await this.#ask(host))
        if (!over.signal.aborted) judge()
        await pauseUntil(over.signal, lookMs)
      }
    }
    for (const host of this.#hosts) ask(host)
    await once(over.signal, 'abort')
    if (!isFound) throw this.#noWriter(this.#hosts.flatMap(host => answers.get(host) ?? []))
  }

  /** Chooses the host of the newest timeline among those that take writes. False: there is none. */
  #choose(answers: HostAnswer[]): boolean {
    for (const { facts } of answers) this.#learn(facts)
    const rankOf = ({ name, facts }: HostAnswer) => [
      facts!.timeline ?? 0,
      name === this.#writer?.name ? 1 : 0
    ]
    const [best, ...others] = answers
      .filter(({ facts }) => facts !== null && this.#objectionTo(facts) === null)
      .sort((a, b) => rankOf(b)[0]! - rankOf(a)[0]! || rankOf(b)[1]! - rankOf(a)[1]!)
    if (best === undefined) return false
    // Nothing says which cluster is meant, as long as none was seen.
    if (others.some(({ facts }) => facts!.system !== best.facts!.system)) return false
    const { system, timeline } = best.facts!
    if (this.#seen === null && system !== null && timeline !== null) {
      this.#seen = { system, timeline }
      // A standby may follow a newer primary than the one that answered.
      return this.#choose(answers)
    }
    const host = this.#hosts.find(({ name }) => name === best.name)!
    const hasMoved = this.#writer !== null && this.#writer !== host
    this.#writer = host
    this.#leave(each => each !== host)
    if (hasMoved) this.#onMoved(host.name)
    return true
  }

  #learn(facts: HostFacts | null): void {
    const seen = this.#seen
    if (facts === null || seen === null || facts.system !== seen.system) return
    seen.timeline = Math.max(seen.timeline, facts.timeline ?? 0)
  }

  #objectionTo(facts: HostFacts): string | null {
    return objectionTo(facts, this.#wanted, this.#seen)
  }

  /** Closes the connections to some hosts. What is under way on them ends with an error. */
  #leave(isLeft: (host: Host) => boolean): void {
    for (const [client, host] of this.#clients) if (isLeft(host)) destroy(client)
  }

  #keep(client: pg.ClientBase, host: Host): void {
    this.#clients.set(client, host)
    client.on('end', () => this.#clients.delete(client))
  }

  #wayOf(host: Host): pg.ClientConfig {
    return this.#ways.get(host) ?? host.ways[0]!
  }

  async #ask(host: Host): Promise<HostAnswer> {
    let failure: unknown
    for (const way of host.ways) {
      const client = new pg.Client({
        connectionTimeoutMillis: connectMsMax,
        ...way,
        application_name: 'holdfast search',
        query_timeout: connectMsMax
      })
      client.on('error', () => {}) // the query under way reports it
      try {
        await client.connect()
        const facts = await readHostFacts(client)
        this.#ways.set(host, way)
        client.end().catch(() => {})
        return { name: host.name, facts, error: null }
      } catch (error) {
        failure ??= error
        destroy(client)
      }
    }
    return { name: host.name, facts: null, error: failure }
  }

  #noWriter(answers: HostAnswer[]): NoWriter {
    const reasons = answers.map(({ name, facts, error }) => {
      if (facts !== null) {
        return `${name} ${this.#objectionTo(facts) ?? 'takes writes, and so does another cluster'}`
      }
      const verb = isServerError(error) ? 'refuses the connection' : 'cannot be reached'
      return `${name} ${verb} (${reasonOf(error)})`
    })
    const cause = answers.every(({ facts }) => facts === null) ? answers[0]!.error : undefined
    return new NoWriter(`No host of ${this.#setting} takes writes: ${reasons.join('; ')}.`, { cause })
  }
}

/** Follows the primary wherever a URL names several hosts. `log` hears of each move. */
export function watchHosts(
  targets: Target[],
  log: { warn(fields: object, text: string): void },
  onError: (error: unknown) => void
): { stop(): Promise<unknown> } {
  const onMoved = (host: string) =>
    log.warn({ part: 'hosts', host }, 'Another host takes writes now. All connections go there.')
  const several = new Set(targets.flatMap(({ hosts }) => hosts ?? []))
  const watches = [...several].map(hosts => hosts.watch({ onMoved, onError }))
  return { stop: () => Promise.all(watches.map(watch => watch.stop())) }
}

/** Ends a connection at once. A server that is frozen would not answer a farewell. */
function destroy(client: pg.ClientBase): void {
  ;(client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream.destroy()
}

async function pauseUntil(signal: AbortSignal, ms: number): Promise<void> {
  await pause(ms, undefined, { signal }).catch(() => {})
}
