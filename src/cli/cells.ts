/** holdfast cells: several databases behind one router, each with queues of its own. */
import { configOf, mapOf } from '../cells/haproxy.ts'
import { doctor } from './cells/doctor.ts'
import { move } from './cells/move.ts'
import { fileOf, placementOf, tell } from './cells/placement.ts'
import { exit, runVerb, type Call, type Command } from './command.ts'
import { count } from './doctor/check.ts'

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
  run: call =>
    runVerb(
      call,
      { alone: { config, map, place, doctor, desk }, withWord: { move } },
      'Use holdfast cells with config, map, place, doctor, desk, or move QUEUE --to CELL.'
    )
}

async function config(call: Call): Promise<void> {
  const desks = call.flag('desk')
  const text = configOf(await placementOf(call), {
    mapFile: call.flag('map')[0] ?? mapFileDefault,
    bind: call.flag('bind')[0] ?? ':8080',
    desks: desks.length > 0 ? desks : ['http://127.0.0.1:8090']
  })
  call.say(text.trimEnd())
}

async function map(call: Call): Promise<void> {
  call.say(mapOf(await placementOf(call)).trimEnd())
}

async function place(call: Call): Promise<number> {
  const placement = await placementOf(call)
  let strays = 0
  let untold = 0
  for (const cell of placement.cellNames) {
    const found = await tell(call, placement, cell).catch((error: Error) => {
      call.say(error.message)
      untold++
      return []
    })
    const wrong = found.filter(({ queue }) => placement.moveOf(queue) === undefined)
    for (const { queue, cell: home } of wrong) {
      call.say(`The queue ${queue} is in ${cell}, and the placement says ${home}.`)
    }
    strays += wrong.length
  }
  if (strays > 0) {
    call.say('Name each under queues with the cell where it is. Then move it with holdfast cells move.')
  }
  if (untold > 0) call.say('Run this again when every database can be told. The other cells were told.')
  if (strays + untold > 0) return exit.failed
  call.say(`${count(placement.cellNames.length, 'cell')} told.`)
  return exit.ok
}

async function desk(call: Call): Promise<void> {
  await placementOf(call) // refuses a file that cannot be used
  const [{ startDesk }, { default: closeWithGrace }] = await Promise.all([
    import('../cells/desk/start.ts'),
    import('close-with-grace')
  ])
  const running = await startDesk(call.config(), fileOf(call), call.say)
  closeWithGrace({ logger: false }, () => running.stop())
}
