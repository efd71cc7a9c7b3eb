/** holdfast cells doctor: the checks of each cell. */
import type { Placement } from '../../core/placement.ts'
import { exit, type Call } from '../command.ts'
import { examine, render, worstOf } from '../doctor.ts'
import { bad, ok, type Check } from '../doctor/check.ts'
import { placementOf } from './placement.ts'

/** Of a replica that is asked whether it is ready. */
const answerMsMax = 5000

/** Checks each cell, its placement and its replicas, also where other cells are away. */
export async function doctor(call: Call): Promise<number> {
  const placement = await placementOf(call)
  let worst: Check['status'] = 'ok'
  for (const cell of placement.cellNames) {
    call.say(`Cell ${cell}`)
    const { replicas } = placement.file.cells[cell]!
    const checks = [
      ...(await databaseChecks(call, placement, cell)),
      ...(await Promise.all(replicas.map(replicaCheck)))
    ]
    worst = worstOf([worst, ...checks.map(({ status }) => status)])
    for (const line of render(checks)) call.say(line)
    call.say('')
  }
  return worst === 'bad' ? exit.failed : exit.ok
}

async function databaseChecks(call: Call, placement: Placement, cell: string): Promise<Check[]> {
  const { databaseUrl, replicas } = placement.file.cells[cell]!
  const { hostname, port } = new URL(replicas[0]!)
  const settings = { ...call.config(), databaseUrl, host: hostname, port: Number(port) }
  try {
    return [...(await examine(settings, replicas.length)), await placedCheck(call, placement, cell)]
  } catch (error) {
    const reason = (error as Error).message.replaceAll('HOLDFAST_DATABASE_URL', 'databaseUrl')
    return [bad('database', reason, `Correct the databaseUrl of ${cell} in the placement file, or start it.`)]
  }
}

async function placedCheck(call: Call, placement: Placement, cell: string): Promise<Check> {
  const { readPlacementOf } = await import('../../databaseTasks.ts')
  const known = await readPlacementOf(call.config(), placement.file.cells[cell]!.databaseUrl)
  const textOf = (rows: typeof known) =>
    rows
      .map(row => JSON.stringify(row))
      .toSorted()
      .join()
  const isSame = textOf(known) === textOf(placement.rowsFor(cell))
  return isSame
    ? ok('placement', 'the database knows what belongs to the cell')
    : bad('placement', 'the database was told something else', 'Run holdfast cells place.')
}

async function replicaCheck(replica: string): Promise<Check> {
  const asked = fetch(`${replica}/readyz`, { signal: AbortSignal.timeout(answerMsMax), redirect: 'manual' })
  const status = await asked.then(
    async response => {
      await response.body?.cancel()
      return response.status
    },
    error => (error as { cause?: { code?: string } }).cause?.code ?? 'no answer'
  )
  const value = `${replica}/readyz: ${status}`
  return status === 200
    ? ok('replica', value)
    : bad('replica', value, 'Start it, or take it out of the file.')
}
