/** The database: one pool, on which work runs by its rank, each piece a commit of its own. */
import type pg from 'pg'
import { Connections, run, transactionOn } from './connections.ts'
import { Door, type Rank } from './door.ts'
import { isBroken, retrying, unreachable } from './databaseErrors.ts'
import type { Target } from './hosts.ts'
import type { Session, Statement, Transaction } from './statement.ts'

/** Whatever it runs refuses with databaseUnavailable, outcomeUnknown or overloaded, as core/ports.ts says. */
export interface Database extends Session {
  /** The same connections, for work that is let in before all other: settling makes room. */
  readonly first: Database
  /** The same connections, for work that is let in after all other: browsing, bulk actions. */
  readonly last: Database
  /** Runs the work between begin and commit on one connection. Whatever it throws rolls back. */
  transaction<T>(work: (session: Transaction) => Promise<T>): Promise<T>
  /**
   * Runs text that may hold several statements and transactions of its own, and answers the rows of
   * all. A connection on which it failed is not used again.
   */
  script(text: string, values?: unknown[]): Promise<Record<string, unknown>[]>
  /** Runs the work on one replica at a time. The others wait for it, for up to a minute. */
  exclusively<T>(lockKey: number, work: () => Promise<T>): Promise<T>
  /** Connections in use and idle, and callers waiting for one. */
  readonly usage: { total: number; idle: number; waiting: number }
  close(): Promise<void>
}

const begin: Statement = { name: 'begin', text: 'begin' }
const rollback: Statement = { name: 'rollback', text: 'rollback' }
const exclusiveMsMax = 60_000
const exclusiveSettings = ['lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout']
  .map(setting => `set local ${setting} = ${exclusiveMsMax}`)
  .join('; ')

/** Opens the pool; no connection is made yet. `onError` hears of connections that break. */
export function openDatabase(
  target: Target,
  { poolSize, onError }: { poolSize: number; onError: (error: Error) => void }
): Database {
  const connections = new Connections(target, poolSize, onError)
  const door = new Door(poolSize)
  const ranked = (rank: Rank): Database => ({
    get first() {
      return first
    },
    get last() {
      return last
    },
    get usage() {
      return { ...connections.usage, waiting: door.waiting }
    },
    close: () => connections.close(),
    ...workOn(async (work, isSpoilt) => {
      const turn = door.enter(rank)
      if (turn !== undefined) await turn
      try {
        return await connections.use(work, isSpoilt)
      } finally {
        door.leave(rank)
      }
    })
  })
  const first = ranked('first')
  const last = ranked('last')
  return ranked('usual')
}

/** Runs work on a connection of its own, which is not used again after an error that spoils it. */
type Use = <T>(
  work: (client: pg.ClientBase) => Promise<T>,
  isSpoilt: (error: unknown) => boolean
) => Promise<T>

function workOn(use: Use): Pick<Database, 'query' | 'script' | 'transaction' | 'exclusively'> {
  const transaction: Database['transaction'] = work =>
    retrying(async () => {
      let lost: unknown
      let isStuck = false
      const attempt = async (client: pg.ClientBase) => {
        const { transaction, end, hasLost } = transactionOn(client)
        try {
          await transaction.query(begin)
          const result = await work(transaction)
          await end()
          return result
        } catch (error) {
          if (hasLost(error)) lost = error
          else if (!isBroken(error)) {
            await run(client, rollback).catch(() => {
              isStuck = true
            })
          }
          throw error
        }
      }
      try {
        return await use(attempt, error => isStuck || isBroken(error))
      } catch (error) {
        throw error === lost ? unreachable(error) : error
      }
    })
  return {
    query: (statement, values) => retrying(() => use(client => run(client, statement, values), isBroken)),
    script: (text, values) =>
      use(
        client => run(client, text, values),
        () => true
      ),
    transaction,
    exclusively: (lockKey, work) =>
      transaction(async session => {
        await session.query(exclusiveSettings)
        await session.query('select pg_advisory_xact_lock($1)', [lockKey])
        return await work()
      })
  }
}
