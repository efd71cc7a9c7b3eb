/** The placement file that the words name, and telling a cell what it says. */
import { readPlacement } from '../../cells/placementFile.ts'
import type { Placement } from '../../core/placement.ts'
import { QueueError } from '../../core/errors.ts'
import { UsageError, type Call } from '../command.ts'

/** Where the placement file is. */
export const fileOf = (call: Call) => call.flag('file')[0] ?? 'cells.json'

/** Throws UsageError where the file cannot be used. */
export const placementOf = (call: Call): Promise<Placement> =>
  readPlacement(fileOf(call)).catch(error => {
    throw new UsageError(error.message)
  })

/** Tells the database of a cell what belongs there. Answers its queues that do not. */
export async function tell(call: Call, placement: Placement, cell: string) {
  const { placeCell } = await import('../../databaseTasks.ts')
  const { databaseUrl } = placement.file.cells[cell]!
  return await placeCell(call.config(), databaseUrl, placement.rowsFor(cell)).catch(error => {
    const sentence = `The database of the cell ${cell} was not told what belongs there. ${error.message}`
    throw error instanceof QueueError ? new QueueError(error.code, sentence) : new Error(sentence)
  })
}
