/** holdfast cells move: what a move needs of the cells, their databases and the router. */
import { execFile } from 'node:child_process'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { CellCalls } from '../../cells/calls.ts'
import { CellApi } from '../../cells/cellApi.ts'
import { moveQueue, type MoveTools } from '../../cells/move.ts'
import { replaceFile } from '../../cells/placementFile.ts'
import { QueueError } from '../../core/errors.ts'
import { readAdminKey } from '../../secrets.ts'
import { UsageError, type Call } from '../command.ts'
import { fileOf, placementOf, tell } from './placement.ts'

/** Moves a queue. Run again, it goes on where it was interrupted. */
export async function move(call: Call, queue: string): Promise<void> {
  const [to] = call.flag('to')
  if (to === undefined) throw new UsageError('Say where to: holdfast cells move QUEUE --to CELL.')
  const placement = await placementOf(call)
  const urlOf = (cell: string) => placement.file.cells[cell]!.databaseUrl
  const config = call.config()
  const tasks = await import('../../databaseTasks.ts')
  const key = await readAdminKey(config.adminKeyFile)
  const calls = new CellCalls(() => placement)
  const tools: MoveTools = {
    file: fileOf(call),
    api: cell => new CellApi(cell, calls, key),
    route: router(call),
    async place(wanted, cell) {
      await tell(call, wanted, cell)
    },
    raiseIds: (from, target) => tasks.raiseIdsBeyond(config, urlOf(from), urlOf(target)),
    copySettings: (name, from, target) => tasks.copyQueueSettings(config, urlOf(from), urlOf(target), name),
    wakeWaiters: (name, cell) => tasks.wakeWaitersOf(config, urlOf(cell), name),
    removeEmpty: (name, cell) => tasks.removeEmptyQueueOf(config, urlOf(cell), name),
    say: call.say
  }
  await moveQueue(tools, { queue, to, carry: call.has('carry') }).catch(error => {
    if (!(error instanceof QueueError)) throw error
    throw new Error(`${error.message} Nothing of the move is lost. Run the same command again to go on.`)
  })
}

/** Puts a map in force: by a file and a command, or by a person. */
function router(call: Call): MoveTools['route'] {
  const [mapFile] = call.flag('map')
  const [reload] = call.flag('reload')
  if (reload !== undefined && mapFile === undefined) {
    throw new UsageError('--reload needs --map: the file that HAProxy reads.')
  }
  if (mapFile === undefined) {
    return async text => {
      call.say(`The map of the router:\n\n${text}\nPut it in force, then press Enter.`)
      await enter()
    }
  }
  return async text => {
    await replaceFile(mapFile, text)
    if (reload !== undefined) await promisify(execFile)('/bin/sh', ['-c', reload])
  }
}

/** Waits for a line of standard input. */
async function enter(): Promise<void> {
  const lines = createInterface({ input: process.stdin })
  const { done } = await lines[Symbol.asyncIterator]().next()
  lines.close()
  if (done !== true) return
  throw new Error('There is nobody to press Enter. Give --map and --reload, or run this in a terminal.')
}
