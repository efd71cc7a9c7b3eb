/** The PostgreSQL of the settings: that of HOLDFAST_DATABASE_URL, or the embedded one. */
import type pg from 'pg'
import { readTarget } from './connect.ts'
import { runningEmbedded, startEmbedded } from './embedded.ts'

/** The settings that say where it is. */
interface Places {
  databaseUrl: string
  listenUrl: string
  dataDir: string
}

interface Postgres {
  /** For pg's Client and Pool. */
  target: pg.ClientConfig
  /** The same database, for LISTEN: past a pooler, if there is one. */
  listenTarget: pg.ClientConfig
  /** Where it is, in words for a person. */
  name: string
  /** Ends the embedded server, if it was started here. */
  stop(): Promise<void>
}

/** Connects to nothing yet, but starts the embedded server. `say` hears about that. */
export async function openPostgres(places: Places, say: (line: string) => void): Promise<Postgres> {
  const { databaseUrl, listenUrl, dataDir } = places
  const listenTarget = listenUrl === '' ? null : await readTarget(listenUrl, 'HOLDFAST_LISTEN_URL')
  if (databaseUrl !== '') {
    const target = await readTarget(databaseUrl, 'HOLDFAST_DATABASE_URL')
    const name = 'the database of HOLDFAST_DATABASE_URL'
    return { target, listenTarget: listenTarget ?? target, name, stop: async () => {} }
  }
  const { config: target, stop } = await startEmbedded(dataDir, say)
  const name = `an embedded PostgreSQL under ${dataDir}/`
  return { target, listenTarget: listenTarget ?? target, name, stop }
}

/** Works on the database without a service: beside one that runs, or after starting PostgreSQL. */
export async function withPostgres<T>(
  places: Places,
  work: (target: pg.ClientConfig, listenTarget: pg.ClientConfig) => Promise<T>
): Promise<T> {
  const running = places.databaseUrl === '' ? await runningEmbedded(places.dataDir) : null
  if (running !== null) return await work(running, running)
  const { target, listenTarget, stop } = await openPostgres(places, () => {})
  return await work(target, listenTarget).finally(stop)
}
