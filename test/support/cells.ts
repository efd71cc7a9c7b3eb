/**
 * Cells for tests: databases with a service each, a desk, and HAProxy before them, as
 * `holdfast cells config` sets it up.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { configOf, mapOf } from '../../src/cells/haproxy.ts'
import { startDesk } from '../../src/cells/desk/start.ts'
import { readPlacement } from '../../src/cells/placementFile.ts'
import { readConfig } from '../../src/config.ts'
import type { PlacementFile } from '../../src/core/placement.ts'
import { placeCell } from '../../src/databaseTasks.ts'
import { withoutPackage } from './debian.ts'
import { freePort } from './tcpServer.ts'

const run = promisify(execFile)

/** Why tests that need a router are skipped; false where they run. */
export const noRouter = withoutPackage('haproxy')

export interface Cells {
  /** Where the router serves. */
  url: string
  /** The placement file. */
  file: string
  /** The map that the router reads, and the command that makes it read it again. */
  mapFile: string
  reload: string
  /** Holds the process id of the router. */
  pidFile: string
}

/** The rest of a placement file beside its cells. */
type Places = Pick<PlacementFile, 'prefixes' | 'queues'>

/** Starts what is beside the cells: the placement file, the desk and the router. Ended with `t`. */
export async function startCells(
  t: Pick<Test, 'teardown'>,
  cells: PlacementFile['cells'],
  places: Places
): Promise<Cells> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-cells-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'cells.json')
  await writeFile(file, JSON.stringify({ cells, ...places, moving: {} }))
  const placement = await readPlacement(file)
  for (const cell of placement.cellNames) {
    await placeCell(readConfig({}), cells[cell]!.databaseUrl, placement.rowsFor(cell))
  }
  const desk = await startDesk({ ...readConfig({}), port: 0, logLevel: 'silent' }, file, () => {})
  t.teardown(() => desk.stop())
  const mapFile = join(folder, 'holdfast.map')
  await writeFile(mapFile, mapOf(placement))
  const bind = `127.0.0.1:${await freePort()}`
  const configFile = join(folder, 'haproxy.cfg')
  await writeFile(configFile, configOf(placement, { mapFile, bind, desks: [desk.url] }))
  const pidFile = join(folder, 'haproxy.pid')
  const start = `haproxy -D -f ${configFile} -p ${pidFile}`
  await run('/bin/sh', ['-c', start])
  t.teardown(async () => process.kill(Number(await readFile(pidFile, 'utf8')), 'SIGTERM'))
  // As systemd does it: one after another, whoever asks.
  const reload = `flock -o ${folder} /bin/sh -c '${start} -sf $(cat ${pidFile})'`
  return { url: `http://${bind}`, file, mapFile, reload, pidFile }
}
