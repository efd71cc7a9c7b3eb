/** The PostgreSQL of the settings: that of HOLDFAST_DATABASE_URL, or the embedded one. */
import { resolve } from 'node:path'
import type { Target } from '../hosts.ts'
import { readTarget } from './connect.ts'
import { runningEmbedded, startEmbedded } from './embedded.ts'

/** The settings that say where it is. */
interface Places {
  databaseUrl: string
  listenUrl: string
  dataDir: string
}

export interface Postgres {
  /** For pg's Client and Pool. */
  target: Target
  /** The same database, for LISTEN: past a pooler, if there is one. */
  listenTarget: Target
  /** Where it is, in words for a person. */
  name: string
  /** Ends the embedded server, if it was started here. */
  stop(): Promise<void>
}

/** Connects to nothing yet, but starts the embedded server. `say` hears about that. */
export async function openPostgres(places: Places, say: (line: string) => void): Promise<Postgres> {
  const { databaseUrl, dataDir } = places
  const listenTarget = await listenTargetOf(places)
  if (databaseUrl !== '') {
    const target = await readTarget(databaseUrl, 'HOLDFAST_DATABASE_URL')
    const name = 'the database of HOLDFAST_DATABASE_URL'
    return { target, listenTarget: listenTarget ?? target, name, stop: async () => {} }
  }
  const { config: target, stop } = await startEmbedded(dataDir, say)
  return { target, listenTarget: listenTarget ?? target, name: nameOfEmbedded(places), stop }
}

const nameOfEmbedded = ({ dataDir }: Places) => `an embedded PostgreSQL under ${resolve(dataDir)}`

const listenTargetOf = async ({ listenUrl }: Places) =>
  listenUrl === '' ? null : await readTarget(listenUrl, 'HOLDFAST_LISTEN_URL')

/** The same for another process of a replica, whose first process has started the embedded server. */
export async function joinPostgres(places: Places): Promise<Postgres> {
  if (places.databaseUrl !== '') return await openPostgres(places, () => {})
  const target = await runningEmbedded(places.dataDir)
  if (target === null) throw new Error('The embedded PostgreSQL does not run. Start the service again.')
  const listenTarget = await listenTargetOf(places)
  return { target, listenTarget: listenTarget ?? target, name: nameOfEmbedded(places), stop: async () => {} }
}

/** Works on the database without a service: beside one that runs, or after starting PostgreSQL. */
export async function withPostgres<T>(
  places: Places,
  work: (target: Target, listenTarget: Target) => Promise<T>
): Promise<T> {
  const running = places.databaseUrl === '' ? await runningEmbedded(places.dataDir) : null
  if (running !== null) return await work(running, running)
  const { target, listenTarget, stop } = await openPostgres(places, () => {})
  return await work(target, listenTarget).finally(stop)
}
