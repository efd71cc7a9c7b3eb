/** holdfast cells: several databases behind one router, each with queues of its own. */
import { execFile } from 'node:child_process'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { configOf, mapOf } from '../cells/haproxy.ts'
import { moveQueue, type MoveTools } from '../cells/move.ts'
import { readPlacement, replaceFile } from '../cells/placementFile.ts'
import { CellCalls } from '../cells/calls.ts'
import { CellApi } from '../cells/cellApi.ts'
import { QueueError } from '../core/errors.ts'
import type { Placement } from '../core/placement.ts'
import { readAdminKey } from '../secrets.ts'
import { examine, render, worstOf } from './doctor.ts'
import { count, bad, ok, type Check } from './doctor/check.ts'
import { exit, UsageError, type Call, type Command } from './command.ts'

const mapFileDefault = '/etc/haproxy/holdfast.map'

export const cells: Command = {
  summary: 'place queues in several databases, and move them',
  words: 'config | map | place | doctor | move QUEUE | desk',
  about: `
A cell is a database with its own replicas of the service. A placement file says which queue is in which cell.
docs/scaling.md shows one, and how cells are set up.

  config       print the configuration of HAProxy
  map          print the map that it reads
  place        tell the database of each cell what belongs there
  doctor       check each cell
  move QUEUE   move a queue by draining it; run it again where it was interrupted
  desk         serve what is about all cells, on HOLDFAST_HOST and HOLDFAST_PORT

Where the cells ask for a key, move and doctor take the one of HOLDFAST_ADMIN_KEY_FILE.`,
  flags: {
    file: { value: 'FILE', help: 'the placement file (default cells.json)' },
    to: { value: 'CELL', help: 'move: the cell to move to' },
    carry: { help: 'move: enqueue there also what stays behind: delayed and dead messages' },
    map: { value: 'FILE', help: `config, move: the map of HAProxy (config: default ${mapFileDefault})` },
    reload: { value: 'COMMAND', help: 'move: makes HAProxy read the map again; needs --map' },
    bind: { value: 'ADDRESS', help: 'config: where HAProxy serves (default :8080)' },
    desk: { value: 'URL', many: true, help: 'config: where a desk serves (default http://127.0.0.1:8090)' }
  },
  async run(call) {
    const [verb = '', queue, extra] = call.words
    const fits =
      Object.hasOwn(verbs, verb) && extra === undefined && (verb === 'move') === (queue !== undefined)
    if (!fits) {
      throw new UsageError(
        'Use holdfast cells with config, map, place, doctor, desk, or move QUEUE --to CELL.'
      )
    }
    return await verbs[verb as keyof typeof verbs](call, fileOf(call), queue!)
  }
}

const verbs = { config, map, place, doctor, move, desk }

const fileOf = (call: Call) => call.flag('file')[0] ?? 'cells.json'

const placementOf = (file: string) =>
  readPlacement(file).catch(error => {
    throw new UsageError(error.message)
  })

async function config(call: Call, file: string): Promise<void> {
  const desks = call.flag('desk')
  const text = configOf(await placementOf(file), {
    mapFile: call.flag('map')[0] ?? mapFileDefault,
    bind: call.flag('bind')[0] ?? ':8080',
    desks: desks.length > 0 ? desks : ['http://127.0.0.1:8090']
  })
  call.say(text.trimEnd())
}

async function map(call: Call, file: string): Promise<void> {
  call.say(mapOf(await placementOf(file)).trimEnd())
}

async function place(call: Call, file: string): Promise<number> {
  const placement = await placementOf(file)
  let strays = 0
  for (const cell of placement.cellNames) {
    const found = await tell(call, placement, cell)
    const wrong = found.filter(({ queue }) => placement.moveOf(queue) === undefined)
    for (const { queue, cell: home } of wrong) {
      call.say(`The queue ${queue} is in ${cell}, and the placement says ${home}.`)
    }
    strays += wrong.length
  }
  if (strays > 0) {
    call.say('Name each under queues with the cell where it is. Then move it with holdfast cells move.')
    return exit.failed
  }
  call.say(`${count(placement.cellNames.length, 'cell')} told.`)
  return exit.ok
}

async function tell(call: Call, placement: Placement, cell: string) {
  const { placeCell } = await import('../databaseTasks.ts')
  const { databaseUrl } = placement.file.cells[cell]!
  return await placeCell(call.config(), databaseUrl, placement.rowsFor(cell))
}

async function doctor(call: Call, file: string): Promise<number> {
  const placement = await placementOf(file)
  let worst: Check['status'] = 'ok'
  for (const cell of placement.cellNames) {
    call.say(`Cell ${cell}`)
    const { databaseUrl, replicas } = placement.file.cells[cell]!
    const { hostname, port } = new URL(replicas[0]!)
    const settings = { ...call.config(), databaseUrl, host: hostname, port: Number(port) }
    const checks = [
      ...(await examine(settings, replicas.length)),
      await placedCheck(call, placement, cell),
      ...(await Promise.all(replicas.map(replicaCheck)))
    ]
    worst = worstOf([...checks, { name: '', status: worst, value: '' }])
    for (const line of render(checks)) call.say(line)
    call.say('')
  }
  return worst === 'bad' ? exit.failed : exit.ok
}

async function placedCheck(call: Call, placement: Placement, cell: string): Promise<Check> {
  const { readPlacementOf } = await import('../databaseTasks.ts')
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
  const status = await fetch(`${replica}/readyz`).then(
    response => response.status,
    error => (error as { cause?: { code?: string } }).cause?.code ?? 'no answer'
  )
  const value = `${replica}/readyz: ${status}`
  return status === 200
    ? ok('replica', value)
    : bad('replica', value, 'Start it, or take it out of the file.')
}

async function move(call: Call, file: string, queue: string): Promise<void> {
  const [to] = call.flag('to')
  if (to === undefined) throw new UsageError('Say where to: holdfast cells move QUEUE --to CELL.')
  const placement = await placementOf(file)
  const urlOf = (cell: string) => placement.file.cells[cell]!.databaseUrl
  const config = call.config()
  const tasks = await import('../databaseTasks.ts')
  const key = await readAdminKey(config.adminKeyFile)
  const calls = new CellCalls(() => placement)
  const tools: MoveTools = {
    file,
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

async function desk(call: Call, file: string): Promise<void> {
  await placementOf(file)
  const [{ startDesk }, { default: closeWithGrace }] = await Promise.all([
    import('../cells/desk/start.ts'),
    import('close-with-grace')
  ])
  const running = await startDesk(call.config(), file, call.say)
  closeWithGrace({ logger: false }, () => running.stop())
}
