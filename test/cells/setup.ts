/** Two cells behind a router, and the command that moves queues between them. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import type { PlacementFile } from '../../src/core/placement.ts'
import { startCells } from '../support/cells.ts'
import { client, service } from '../support/service.ts'

/** Tests of cells run side by side on one server, which takes 100 connections. */
const env = { HOLDFAST_AUTH: 'off', HOLDFAST_POOL_SIZE: '4' }

/** Cells a and b. Names are placed in a unless `places` says otherwise. */
export async function twoCells(
  t: Test,
  places: Pick<PlacementFile, 'prefixes' | 'queues'> = { prefixes: { '': 'a' }, queues: {} }
) {
  const [a, b] = [await service(t, { env }), await service(t, { env })]
  const cell = ({ url, databaseUrl }: typeof a) => ({ databaseUrl, replicas: [url] })
  const cells = await startCells(t, { a: cell(a), b: cell(b) }, places)
  return { ...cells, router: client(cells.url), a, b }
}

export type TwoCells = Awaited<ReturnType<typeof twoCells>>

interface Command {
  child: ChildProcess
  /** Resolves once the command has said a line with this text. */
  says(text: string): Promise<void>
  ended: Promise<{ code: number | null; said: string }>
}

/** Runs `holdfast cells` with these words beside the placement file. */
export function cellsCommand({ file }: Pick<TwoCells, 'file'>, ...words: string[]): Command {
  const child = spawn(process.execPath, ['bin/holdfast.mjs', 'cells', ...words, '--file', file], {
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'pipe']
  })
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
export const move = (cells: TwoCells, queue: string, to: string, ...flags: string[]) =>
  cellsCommand(cells, 'move', queue, '--to', to, '--map', cells.mapFile, '--reload', cells.reload, ...flags)
