/** What a pooler between the service and PostgreSQL does to sessions. */
import { randomBytes } from 'node:crypto'
import type pg from 'pg'
import { isServerError, sqlState } from '../databaseErrors.ts'
import type { Target } from '../hosts.ts'
import { defaultsQuery, differingDefaults } from '../sessionSettings.ts'
import { connect } from './connect.ts'
import { sqlName } from './grants.ts'

/** `session`: a session belongs to one client. `transaction`: it may change with each transaction. */
type Pooling = 'none' | 'session' | 'transaction'

export interface PoolingFacts {
  pooling: Pooling
  /** Why the service cannot work through it, and what to do; null: it can. */
  refusal: string | null
  /** What would make it quicker; null: nothing. */
  advice: string | null
}

// In transaction mode the first client gets another session than before, or the second gets the same
// one. Other clients of the pooler may come between, so one round may not show it.
const rounds = 10
const answerMsMax = 10_000

/** Runs prepared statements of one name on two connections. */
export async function probePooling(target: Target, name: string): Promise<PoolingFacts> {
  const limited = { ...target, query_timeout: answerMsMax }
  const clients = [await connect(limited, name)]
  try {
    clients.push(await connect(limited, name))
    const pooling = await findPooling(clients)
    if (pooling === 'none' || pooling === 'session') return { pooling, refusal: null, advice: null }
    const { rows } = await clients[0]!.query<{ role: string; name: string; value: string }>(defaultsQuery)
    const { meaning, pace } = differingDefaults(rows)
    const role = sqlName(rows[0]!.role)
    return {
      pooling: 'transaction',
      refusal: pooling === 'forgetful' ? preparesNothing : howToSet(meaning, role),
      advice: howToSet(pace, role)
    }
  } finally {
    for (const client of clients) await client.end().catch(() => {})
  }
}

const preparesNothing =
  'It loses prepared statements. Use PgBouncer 1.21 or later with max_prepared_statements above 200, ' +
  'or pool_mode = session, or a direct URL.'

/** The statements that give a role its settings; null without any. */
function howToSet(settings: Record<string, string>, role: string): string | null {
  const statements = Object.entries(settings).map(
    ([name, value]) => `alter role ${role} set ${name} = '${value}';`
  )
  if (statements.length === 0) return null
  return (
    'The service cannot set these for its sessions there, so the role must have them. ' +
    `Run: ${statements.join(' ')} Then run RECONNECT at the pooler.`
  )
}

/** `forgetful`: in transaction mode, and it does not find prepared statements again. */
async function findPooling(clients: pg.Client[]): Promise<Pooling | 'forgetful'> {
  const sessions = clients.map(() => new Set<number>())
  for (let round = 0; round < rounds; round++) {
    // A name of its own for each round: one that is taken stays so for the session's life.
    const query = {
      name: `holdfast_probe_${randomBytes(6).toString('hex')}`,
      text: 'select pg_catalog.pg_backend_pid() as pid'
    }
    for (const index of [0, 0, 1, 0]) {
      try {
        const { rows } = await clients[index]!.query<{ pid: number }>(query)
        sessions[index]!.add(rows[0]!.pid)
      } catch (error) {
        if (isMixedUp(error)) return 'forgetful'
        throw error
      }
    }
    if (isDirect(clients, sessions)) return 'none'
  }
  const [first, second] = sessions as [Set<number>, Set<number>]
  const isOwn = first.size === 1 && second.size === 1 && ![...first].some(pid => second.has(pid))
  return isOwn ? 'session' : 'transaction'
}

/** PostgreSQL tells each client the number of its session. A pooler tells a number of its own. */
function isDirect(clients: pg.Client[], sessions: Set<number>[]): boolean {
  return clients.every((client, index) =>
    sessions[index]!.has((client as unknown as { processID: number }).processID)
  )
}

const isMixedUp = (error: unknown) =>
  isServerError(error, sqlState.duplicateStatement, sqlState.unknownStatement)

/** Throws an Error with a sentence for a person when the service cannot work through the pooler. */
export async function refusePooling(target: Target): Promise<void> {
  const { refusal } = await probePooling(target, 'holdfast start')
  if (refusal === null) return
  throw new Error(`The pooler at HOLDFAST_DATABASE_URL works in transaction mode. ${refusal}`)
}
