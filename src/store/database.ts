/**
 * Connections: a pool whose every session is durable, and errors told apart by whether a write can
 * have happened.
 */
import pg from 'pg'
import { QueueError } from '../core/errors.ts'

/** A named statement: planned once per connection, never assembled from input. */
export interface Statement {
  name: string
  text: string
  /** It works through a chunk of thousands, or looks past as many, which may take seconds. */
  slow?: true
}

export type Row = Record<string, any>

export interface Session {
  query(statement: Statement | string, values?: unknown[]): Promise<Row[]>
}

export interface Database extends Session {
  /**
   * The same connections, for work that is let in before all other (settling makes room), or after
   * it (looks, mending).
   */
  readonly first: Database
  readonly last: Database
  /** Runs the work between begin and commit on one connection; anything it throws rolls back. */
  transaction<T>(work: (session: Session) => Promise<T>): Promise<T>
  /**
   * Runs text that may hold several statements and transactions of its own, and answers the rows
   * of all; a connection on which it failed is not used again.
   */
  script(text: string, values?: unknown[]): Promise<Row[]>
  /** Runs the work on one replica at a time: the others wait for it, for up to a minute. */
  exclusively<T>(lockKey: number, work: () => Promise<T>): Promise<T>
  /** Connections in use, idle, and callers waiting for one. */
  readonly usage: { total: number; idle: number; waiting: number }
  close(): Promise<void>
}

const connectMsMax = 3000
const connectionWaitMsMax = 3000
// Of flushes there are a few per queue in use; of looks each has a caller of its own.
const waitingMax = { first: 20_000, usual: 20_000, last: 200 }
const statementMsMax = 15_000
// Other statements take milliseconds: one without an answer for so long is on a connection that
// goes nowhere, which nobody tells us of when a host or a firewall on the way has forgotten it.
const answerMsMax = 3000
const attemptsMax = 5
const begin: Statement = { name: 'begin', text: 'begin' }
const restMsMax = 500
const ping = { text: 'select', query_timeout: 1000 }
const commitQuery = { text: 'commit', query_timeout: answerMsMax }
const rollback: Statement = { name: 'rollback', text: 'rollback' }

// Set on every connection, because a role or a database can carry other values without a word. The
// planner is kept to index scans: generic plans are made while tables are small and must stay
// right when they have grown.
const sessionSettings = `
  set synchronous_commit = on; set default_transaction_isolation = 'read committed';
  set timezone = 'UTC'; set datestyle = 'ISO'; set intervalstyle = 'postgres'; set search_path = pg_catalog; set standard_conforming_strings = on;
  set plan_cache_mode = force_generic_plan; set enable_seqscan = off; set enable_bitmapscan = off; set enable_mergejoin = off; set jit = off;
  set statement_timeout = ${statementMsMax}; set lock_timeout = 1000; set idle_in_transaction_session_timeout = 10000`

/** Opens the pool (lazily: no connection is made yet). Closed by `close()`. */
export function openDatabase(
  config: pg.ClientConfig,
  options: { poolSize: number; onError: (error: Error) => void }
): Database {
  // The pool is closed before the last of its connections is, and a database that stops meanwhile
  // says so to each.
  let closing = false
  const onError = (error: Error) => {
    if (!closing) options.onError(error)
  }
  const pool = new pg.Pool({
    ...config,
    application_name: 'holdfast',
    max: options.poolSize,
    connectionTimeoutMillis: connectMsMax,
    query_timeout: statementMsMax + 3000,
    keepAlive: true,
    types: { getTypeParser: parserFor as typeof pg.types.getTypeParser },
    onConnect: async (client: pg.ClientBase) => {
      // While a client is checked out the pool does not listen, and an error between two queries
      // would end the process.
      client.on('error', onError)
      await client.query(sessionSettings)
    }
  })
  pool.on('error', onError)

  // A connection that has rested may be dead without a word, so it is asked first, when nothing is
  // at stake yet. Where one was lost, those that have not answered since are given up.
  const answeredMs = new WeakMap<pg.ClientBase, number>()
  let lostMs = 0
  const lives = (client: pg.ClientBase) => answeredMs.set(client, performance.now())
  pool.on('connect', lives)
  async function takeClient(): Promise<pg.PoolClient> {
    for (;;) {
      const client = await pool.connect().catch(error => {
        throw lost(error, 'none')
      })
      const lastMs = answeredMs.get(client)!
      if (lastMs > lostMs) {
        if (
          performance.now() < lastMs + restMsMax ||
          (await client.query(ping).then(
            () => true,
            () => false
          ))
        ) {
          return client
        }
        lostMs = performance.now()
      }
      client.release(true)
    }
  }

  const door = new Door(options.poolSize)

  async function withClient<T>(
    rank: Rank,
    work: (client: pg.PoolClient) => Promise<T>,
    isSpoilt = isBroken
  ): Promise<T> {
    const turn = door.enter(rank)
    if (turn !== undefined) await turn
    try {
      const client = await takeClient()
      try {
        const result = await work(client)
        lives(client)
        client.release()
        return result
      } catch (error) {
        if (isBroken(error)) lostMs = performance.now()
        client.release(isSpoilt(error))
        throw error
      }
    } finally {
      door.leave(rank)
    }
  }

  function ranked(rank: Rank): Database {
    const transaction: Database['transaction'] = work =>
      retrying(() =>
        withClient(rank, async client => {
          await run(client, begin)
          try {
            const result = await work({ query: (statement, values) => run(client, statement, values) })
            await commit(client)
            return result
          } catch (error) {
            if (!isBroken(error)) await run(client, rollback)
            throw error
          }
        })
      )
    return {
      get first() {
        return first
      },
      get last() {
        return last
      },
      get usage() {
        return { total: pool.totalCount, idle: pool.idleCount, waiting: door.waiting }
      },
      close() {
        closing = true
        return pool.end()
      },
      query: (statement, values) =>
        retrying(() => withClient(rank, client => run(client, statement, values))),
      script: (text, values) =>
        withClient(
          rank,
          client => run(client, text, values),
          () => true
        ),
      transaction,
      exclusively: (lockKey, work) =>
        transaction(async session => {
          await session.query(
            'set local lock_timeout = 60000; set local statement_timeout = 60000; set local ' +
              'idle_in_transaction_session_timeout = 60000'
          )
          await session.query('select pg_advisory_xact_lock($1)', [lockKey])
          return await work()
        })
    }
  }
  const first = ranked('first')
  const last = ranked('last')
  return ranked('usual')
}

type Rank = 'first' | 'usual' | 'last'

/**
 * Lets work to the connections by its rank, since the pool itself knows only who came first. One
 * connection is kept for the first rank, and the last has no more than half of them, so that
 * nobody's looks hold up everybody's messages.
 */
class Door {
  readonly #limits: Record<Rank, number>
  readonly #inside = { first: 0, usual: 0, last: 0 }
  readonly #waiting = {
    first: new Set<() => void>(),
    usual: new Set<() => void>(),
    last: new Set<() => void>()
  }

  constructor(connections: number) {
    // Two at least: work done `exclusively` holds one and asks for another.
    this.#limits = {
      first: connections,
      usual: Math.max(2, connections - 1),
      last: Math.max(1, connections >> 1)
    }
  }

  get waiting(): number {
    return this.#waiting.first.size + this.#waiting.usual.size + this.#waiting.last.size
  }

  /**
   * Undefined when the way is free; else wait for it. Refuses with overloaded when it is not free
   * in time.
   */
  enter(rank: Rank): Promise<void> | undefined {
    if (this.#isFree(rank)) {
      this.#inside[rank]++
      return
    }
    const waiting = this.#waiting[rank]
    const refusal = () =>
      new QueueError(
        'overloaded',
        'Every connection to the database is busy; nothing was changed. Send the request again a ' +
          'little later.'
      )
    if (waiting.size >= waitingMax[rank]) return Promise.reject(refusal())
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        waiting.delete(admit)
        reject(refusal())
      }, connectionWaitMsMax)
      const admit = () => {
        clearTimeout(timer)
        resolve()
      }
      waiting.add(admit)
    })
  }

  leave(rank: Rank): void {
    this.#inside[rank]--
    for (const next of ['first', 'usual', 'last'] as const) {
      for (const admit of this.#waiting[next]) {
        if (!this.#isFree(next)) break
        this.#waiting[next].delete(admit)
        this.#inside[next]++
        admit()
      }
    }
  }

  #isFree(rank: Rank): boolean {
    const { first, usual, last } = this.#inside
    return (
      first + usual + last < this.#limits[rank === 'last' ? 'usual' : rank] &&
      (rank !== 'last' || last < this.#limits.last)
    )
  }
}

async function run(
  client: pg.ClientBase,
  statement: Statement | string,
  values: unknown[] = []
): Promise<Row[]> {
  try {
    const query =
      typeof statement === 'string'
        ? { text: statement, values }
        : {
            name: statement.name,
            text: statement.text,
            values,
            ...(statement.slow ? {} : { query_timeout: answerMsMax })
          }
    const result: pg.QueryResult | pg.QueryResult[] = await client.query(query)
    // of several statements, the rows of all
    return Array.isArray(result) ? result.flatMap(({ rows }) => rows) : result.rows
  } catch (error) {
    throw isServerError(error) && !isFatal(error) ? error : lost(error, 'unknown')
  }
}

async function commit(client: pg.ClientBase): Promise<void> {
  const result = await client.query(commitQuery).catch(error => {
    throw lost(error, 'unknown')
  })
  // The commit of a failed transaction succeeds, and only its tag says that it was rolled back.
  if (result.command !== 'COMMIT') {
    throw new QueueError('databaseUnavailable', 'The transaction was rolled back; send the request again.')
  }
}

// A deadlock or a serialization failure is a definite abort: nothing happened, so it is safe to
// run the work again.
async function retrying<T>(work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!isServerError(error)) throw error
      if (attempt < attemptsMax && ['40P01', '40001'].includes(error.code)) continue
      throw isPassing(error)
        ? new QueueError(
            'databaseUnavailable',
            'The database is not taking this just now; nothing was changed. Send the request again.',
            { cause: error }
          )
        : error
    }
  }
}

/**
 * Whether the server itself answered with an error: then the statement definitely had no effect,
 * unless it was fatal.
 */
export function isServerError(error: unknown): error is pg.DatabaseError & { code: string } {
  return error instanceof pg.DatabaseError && typeof error.code === 'string'
}

// The session is gone, and with it the answer: shutdown, a killed backend, the crash of a neighbour.
function isFatal(error: pg.DatabaseError): boolean {
  return error.severity === 'FATAL' || error.severity === 'PANIC' || /^(08|57P)/.test(error.code ?? '')
}

// Not the statement's fault: aborted, out of resources, cancelled, locked out, read-only for a while.
function isPassing(error: pg.DatabaseError): boolean {
  return /^(40|53|55|57|58|25006)/.test(error.code ?? '')
}

// A client that timed out or lost its server is still busy or dead, and one on a read-only server
// is on the wrong one.
function isBroken(error: unknown): boolean {
  if (error instanceof QueueError) return error.outcome === 'unknown'
  return !isServerError(error) || error.code === '25006'
}

function lost(error: unknown, outcome: 'none' | 'unknown'): QueueError {
  return outcome === 'none'
    ? new QueueError(
        'databaseUnavailable',
        'The database cannot be reached just now; nothing was changed. Send the request again.',
        { cause: error }
      )
    : new QueueError(
        'outcomeUnknown',
        'The connection to the database was lost before it answered, so the change may or may not ' +
          'have been made. ' +
          'Send the request again with the same idempotency key.',
        { outcome, cause: error }
      )
}

// Times leave as RFC 3339 in UTC with milliseconds; whole numbers stay text, since 64 bits do not
// fit a double.
function parserFor(oid: number, format?: 'text' | 'binary'): unknown {
  if (oid === pg.types.builtins.TIMESTAMPTZ) return rfc3339
  return pg.types.getTypeParser(oid, format as 'text')
}

function rfc3339(text: string): string {
  const dot = text.indexOf('.')
  const end = text.lastIndexOf('+')
  const fraction =
    dot < 0
      ? '000'
      : text
          .slice(dot + 1, end)
          .padEnd(3, '0')
          .slice(0, 3)
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${fraction}Z`
}
