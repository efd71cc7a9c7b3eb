/** A pool whose every session is durable, and whose connections answer. */
import pg from 'pg'
import { QueueError } from '../core/errors.ts'
import { failureOf, isBroken, outcomeUnknown, unreachable } from './databaseErrors.ts'
import type { Hosts, Target } from './hosts.ts'
import { sessionSettings, statementMsMax } from './sessionSettings.ts'
import type { Session, Statement, Transaction } from './statement.ts'

const connectMsMax = 3000
/** With several hosts, how often a connection is tried before its caller is refused. */
const connectAttemptsMax = 3
// The server ends a statement after `statementMsMax`. If nothing is heard of that either, we do.
const statementGraceMs = 3000
// Statements that are not slow take milliseconds. One without an answer for this long is on a lost
// connection. A host or a firewall on the way has forgotten it without a word.
const answerMsMax = 3000
/** A connection that has rested longer is asked whether it lives before it is used. */
const restMsMax = 500
const ping = { text: 'select', query_timeout: 1000 }
// A pooler that is paused takes connections, and answers nothing on them.
const settingsQuery = { text: sessionSettings, query_timeout: answerMsMax }
const commitText = 'commit'
// PostgreSQL keeps the locks of a transaction until its commit is on the disk. This commit does not
// wait. The record behind it does, and the disk then holds both.
const earlyCommitText =
  "set local synchronous_commit = off; commit; select pg_logical_emit_message(true, 'holdfast', '')"

/** The connections of one pool. Each is made when it is first needed. */
export class Connections {
  readonly #pool: pg.Pool
  readonly #hosts: Hosts | undefined
  // A connection that has rested may be dead without a word, so it is asked first, when nothing is
  // at stake yet. Once one was lost, those that have not answered since are given up.
  readonly #answeredMs = new WeakMap<pg.ClientBase, number>()
  #lostMs = 0
  #closing = false

  constructor({ hosts, ...config }: Target, connectionsMax: number, onError: (error: Error) => void) {
    // The pool is closed before the last of its connections is, and a database that stops meanwhile
    // says so to each.
    const hear = (error: Error) => {
      if (!this.#closing) onError(error)
    }
    this.#hosts = hosts
    this.#pool = new pg.Pool({
      connectionTimeoutMillis: connectMsMax,
      ...config,
      ...(hosts !== undefined && { Client: hosts.Client }),
      application_name: 'holdfast',
      max: connectionsMax,
      query_timeout: statementMsMax + statementGraceMs,
      keepAlive: true,
      types: { getTypeParser: parserFor as typeof pg.types.getTypeParser },
      onConnect: async (client: pg.ClientBase) => {
        // While a client is checked out the pool does not listen, and an error between two queries
        // would end the process.
        client.on('error', hear)
        await (hosts?.admit(client, sessionSettings) ?? client.query(settingsQuery))
      }
    })
    this.#pool.on('error', hear)
    this.#pool.on('connect', client => this.#hasAnswered(client))
  }

  get usage(): { total: number; idle: number } {
    return { total: this.#pool.totalCount, idle: this.#pool.idleCount }
  }

  /**
   * Runs the work on a connection of its own. `isSpoilt` says after which errors the connection is
   * not used again. Refuses with databaseUnavailable when none can be had.
   */
  async use<T>(
    work: (client: pg.ClientBase) => Promise<T>,
    isSpoilt: (error: unknown) => boolean
  ): Promise<T> {
    const client = await this.#take()
    try {
      const result = await work(client)
      this.#hasAnswered(client)
      client.release()
      return result
    } catch (error) {
      if (isBroken(error)) this.#lostMs = performance.now()
      client.release(isSpoilt(error))
      throw error
    }
  }

  close(): Promise<void> {
    this.#closing = true
    return this.#pool.end()
  }

  async #take(): Promise<pg.PoolClient> {
    for (;;) {
      const client = await this.#connect().catch(error => {
        throw unreachable(error)
      })
      const lastMs = this.#answeredMs.get(client)!
      if (lastMs > this.#lostMs) {
        if (performance.now() < lastMs + restMsMax || (await isAlive(client))) return client
        this.#lostMs = performance.now()
      }
      client.release(true)
    }
  }

  /** With several hosts, a connection that fails may be to one that takes no writes any more. */
  async #connect(): Promise<pg.PoolClient> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#pool.connect()
      } catch (error) {
        if (this.#hosts === undefined || attempt === connectAttemptsMax) throw error
        await this.#hosts.search()
      }
    }
  }

  #hasAnswered(client: pg.ClientBase): void {
    this.#answeredMs.set(client, performance.now())
  }
}

async function isAlive(client: pg.ClientBase): Promise<boolean> {
  return await client.query(ping).then(
    () => true,
    () => false
  )
}

/** The statements of one connection. */
export const sessionOn = (client: pg.ClientBase): Session => ({
  query: (statement, values) => run(client, statement, values)
})

interface OpenTransaction {
  transaction: Transaction
  /** Commits. */
  end: () => Promise<void>
  /** Whether this error lost the connection before the commit was sent. Then nothing was changed. */
  hasLost: (error: unknown) => boolean
}

/** The statements of a transaction on this connection, and what commits it. */
export function transactionOn(client: pg.ClientBase): OpenTransaction {
  let text = commitText
  let lost: unknown
  return {
    transaction: {
      query: (statement, values) =>
        run(client, statement, values).catch(error => {
          if (error instanceof QueueError) lost = error
          throw error
        }),
      freeLocksEarly() {
        text = earlyCommitText
      }
    },
    end: () => commit(client, text),
    hasLost: error => error === lost
  }
}

/** Runs a statement. Refuses with outcomeUnknown when its answer was lost. */
export async function run<Row>(
  client: pg.ClientBase,
  statement: Statement<Row> | string,
  values: unknown[] = []
): Promise<Row[]> {
  const query =
    typeof statement === 'string'
      ? { text: statement, values }
      : {
          name: statement.name,
          text: statement.text,
          values,
          ...(statement.slow ? {} : { query_timeout: answerMsMax })
        }
  try {
    // Text may hold several statements: then the rows of all are answered.
    const result: pg.QueryResult | pg.QueryResult[] = await client.query(query)
    return Array.isArray(result) ? result.flatMap(({ rows }) => rows) : result.rows
  } catch (error) {
    throw failureOf(error)
  }
}

/** Commits. Refuses with outcomeUnknown when the answer was lost, and when it was no commit. */
async function commit(client: pg.ClientBase, text: string): Promise<void> {
  const query = { text, query_timeout: answerMsMax }
  const answer: pg.QueryResult | pg.QueryResult[] = await client.query(query).catch(error => {
    throw outcomeUnknown(error)
  })
  // The commit of a failed transaction succeeds, and only its tag says that it was rolled back.
  if (![answer].flat().some(({ command }) => command === 'COMMIT')) {
    throw new QueueError('databaseUnavailable', 'The transaction was rolled back; send the request again.')
  }
}

// Times leave as RFC 3339 in UTC with milliseconds. Whole numbers stay text, since 64 bits do not
// fit a double.
function parserFor(oid: number, format?: 'text' | 'binary'): unknown {
  if (oid === pg.types.builtins.TIMESTAMPTZ) return rfc3339
  return pg.types.getTypeParser(oid, format as 'text')
}

function rfc3339(text: string): string {
  const dot = text.indexOf('.')
  const end = text.lastIndexOf('+')
  const fraction = dot < 0 ? '' : text.slice(dot + 1, end)
  return `${text.slice(0, 10)}T${text.slice(11, 19)}.${fraction.slice(0, 3).padEnd(3, '0')}Z`
}
