/** Cells behind a router, and the command that moves queues between them. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import type { PlacementFile } from '../../src/core/placement.ts'
import { startCells, type Cells } from '../support/cells.ts'
import { client, service } from '../support/service.ts'

/** Tests of cells run side by side on one server, which takes 100 connections. */
const env = { HOLDFAST_AUTH: 'off', HOLDFAST_POOL_SIZE: '4' }

const inA = { prefixes: { '': 'a' }, queues: {} }
type Places = Pick<PlacementFile, 'prefixes' | 'queues'>

async function cellsOf<Name extends string>(t: Test, names: Name[], places: Places) {
  const services: [Name, Awaited<ReturnType<typeof service>>][] = []
  for (const name of names) services.push([name, await service(t, { env })])
  const placed = services.map(([name, { url, databaseUrl }]) => [name, { databaseUrl, replicas: [url] }])
  const cells = await startCells(t, Object.fromEntries(placed), places)
  const byName = Object.fromEntries(services) as Record<Name, (typeof services)[0][1]>
  return { ...cells, router: client(cells.url), ...byName }
}

/** Cells a and b. Names are placed in a unless `places` says otherwise. */
export const twoCells = (t: Test, places: Places = inA) => cellsOf(t, ['a', 'b'], places)

/** The same, with a cell c. */
export const threeCells = (t: Test, places: Places = inA) => cellsOf(t, ['a', 'b', 'c'], places)

interface Command {
  child: ChildProcess
  /** Resolves once the command has said a line with this text. */
  says(text: string): Promise<void>
  ended: Promise<{ code: number | null; said: string }>
}

/** Runs `holdfast cells` with these words beside the placement file. */
export function cellsCommand({ file }: Pick<Cells, 'file'>, ...words: string[]): Command {
  const child = spawn(process.execPath, ['bin/holdfast.mjs', 'cells', ...words, '--file', file], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  // It waits for a cell that is away, also where the test has failed.
  const kill = () => child.kill('SIGKILL')
  process.once('exit', kill)
  child.once('exit', () => process.off('exit', kill))
  const lines: string[] = []
  const listeners = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', line => {
      lines.push(line)
      for (const listener of listeners) listener()
    })
  }
  const ended = once(child, 'close').then(([code]) => ({
    code: code as number | null,
    said: lines.join('\n')
  }))
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const check = () => lines.some(line => line.includes(text)) && resolve()
      listeners.add(check)
      check()
      ended.then(({ said }) => reject(new Error(`It ended before it said ${text}:\n${said}`)), reject)
    })
  return { child, says, ended }
}

/** Moves a queue, with the router of the test. */
export const move = (cells: Cells, queue: string, to: string, ...flags: string[]) =>
  cellsCommand(cells, 'move', queue, '--to', to, '--map', cells.mapFile, '--reload', cells.reload, ...flags)
