/** `npm run bench -- --against REF`: checks out another commit, and pairs its rows with ours. */
import { execFile } from 'node:child_process'
import { mkdir, readFile, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { interrupted } from './interrupt.ts'
import type { Entry, Scenario } from './scenarios.ts'
import { checkout } from './subjects.ts'

/** One row of the bench, to be measured with this checkout and with the other commit. */
export interface Pair {
  title: string
  name: string
  entries: Entry[]
}

const run = promisify(execFile)

/** Shorter than beside the peers, for more rounds. A disturbance then moves the median less. */
const slice = { warmMs: 500, runMs: 1500 }

/**
 * The rows of Holdfast whose title or name holds `only`. The row across replicas comes last: its
 * second replica stays, and shares the sweeper's work with the first.
 */
export function pairsOf(scenarios: Scenario[], only: string): Pair[] {
  const rows = scenarios.flatMap(({ title, entries }) => entries.map(entry => ({ title, entry })))
  const chosen = rows.filter(
    ({ title, entry }) =>
      entry.subject === 'holdfast' && !entry.isNew && `${title} · ${entry.name}`.includes(only)
  )
  const acrossLast = chosen.sort((a, b) => Number(isAcross(a.entry)) - Number(isAcross(b.entry)))
  return acrossLast.map(({ title, entry }) => ({ title, name: entry.name, entries: sidesOf(entry) }))
}

const isAcross = ({ acrossReplicas }: Entry) => acrossReplicas === true

function sidesOf(entry: Entry): Entry[] {
  const load = { ...entry.load, ...slice }
  return [
    { ...entry, load, name: 'this' },
    { ...entry, load, name: 'other', subject: 'other' }
  ]
}

/**
 * Unpacks a commit into a folder and gives it its dependencies: ours if it locks the same ones.
 * Returns the commit's short id and subject.
 */
export async function checkOut(ref: string, folder: string): Promise<string> {
  const commit = await git('rev-parse', '--verify', '--end-of-options', `${ref}^{commit}`).catch(() => {
    throw new Error(`git finds no commit named ${ref} here.`)
  })
  const archive = `${folder}.tar`
  await mkdir(folder)
  try {
    await git('archive', '--format=tar', `--output=${archive}`, commit)
    await run('tar', ['-xf', archive, '-C', folder], { signal: interrupted })
  } finally {
    await rm(archive, { force: true })
  }
  if (await locksTheSame(folder)) {
    await symlink(join(checkout, 'node_modules'), join(folder, 'node_modules'))
  } else await install(folder)
  return await git('show', '--no-patch', '--format=%h %s', commit)
}

async function git(...args: string[]): Promise<string> {
  const { stdout } = await run('git', args, { cwd: checkout, signal: interrupted })
  return stdout.trim()
}

async function locksTheSame(folder: string): Promise<boolean> {
  const [ours, theirs] = await Promise.all(
    [checkout, folder].map(home => readFile(join(home, 'package-lock.json'), 'utf8'))
  )
  return ours === theirs
}

/** Installs what the service needs, which has no install scripts. */
async function install(folder: string): Promise<void> {
  const args = ['ci', '--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-fund', '--no-audit']
  await run('npm', args, { cwd: folder, signal: interrupted })
}
