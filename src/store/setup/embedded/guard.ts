/** A connection that notices when the server goes away, and keeps a second Holdfast off. */
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { lockKeys } from '../../lockKeys.ts'
import { addressOf } from './address.ts'

/** Another Holdfast runs over the same folder. */
export class InUse extends Error {}

/**
 * Connects to the server and takes a lock that lasts as long as the connection. Undefined when the
 * server takes no connections, not yet or no longer. Throws InUse.
 */
export async function connectGuard(host: string, data: string): Promise<pg.Client | undefined> {
  const client = new pg.Client({
    ...addressOf(host),
    database: 'postgres',
    application_name: 'holdfast guard',
    connectionTimeoutMillis: 5_000
  })
  client.on('error', () => {}) // followed by 'end'
  try {
    await client.connect()
    await takeLock(client, host, data)
    const { rowCount } = await client.query("select from pg_database where datname = 'holdfast'")
    if (rowCount === 0) await client.query('create database holdfast')
    return client
  } catch (error) {
    client.end().catch(() => {})
    if (error instanceof InUse) throw error
    return undefined
  }
}

const lockQuery = `
  select
    current_setting('data_directory') as data,
    pg_try_advisory_lock(${lockKeys.embedded}) as locked`

async function takeLock(client: pg.Client, host: string, data: string): Promise<void> {
  for (const untilMs = Date.now() + 2_000; ; await sleep(100)) {
    const { rows } = await client.query<{ data: string; locked: boolean }>(lockQuery)
    const row = rows[0]!
    if (row.data !== data) throw new Error(`the server at ${host} is another one`)
    if (row.locked) return
    // A predecessor that was just killed lets go at once.
    if (Date.now() > untilMs) {
      throw new InUse(
        `Another Holdfast is running on ${dirname(data)}. Stop it, or give this one another folder in ` +
          'HOLDFAST_DATA_DIR.'
      )
    }
  }
}
