/** Judges what the doctor measured: each check is ok, a warning or bad, and says what to do. */
import type { Config } from '../../config.ts'
import type { Facts } from '../../databaseTasks.ts'
import type { Check, Surroundings } from './check.ts'
import { apiKeys, clock, connections, notices, openFiles, pooler } from './deployment.ts'
import { hosts } from './hosts.ts'
import { durability, server, standbys, synchronousCommit, transactionIds } from './server.ts'
import { autovacuum, databaseSize, deadRows, grants, maintenance, ownership, schema } from './tables.ts'
import { shares } from './shares.ts'
import { replicationSlots, snapshots } from './snapshots.ts'

const judges = [
  server,
  hosts,
  durability,
  synchronousCommit,
  standbys,
  clock,
  notices,
  pooler,
  connections,
  snapshots,
  replicationSlots,
  transactionIds,
  schema,
  ownership,
  grants,
  deadRows,
  autovacuum,
  maintenance,
  apiKeys,
  openFiles,
  shares,
  databaseSize
]

/** All checks, in the order in which they are shown. */
export function judge(facts: Facts, config: Config, surroundings: Surroundings): Check[] {
  return judges.flatMap(judge => judge(facts, config, surroundings) ?? [])
}
