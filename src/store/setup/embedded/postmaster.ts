/** The postmaster on the data folder: launched by us, or found running and adopted. */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, ftruncateSync, openSync } from 'node:fs'
import { chmod, mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { port } from './address.ts'
import { commandLine, handOver, run, type Program } from './program.ts'

const settings = [
  'listen_addresses=',
  'max_connections=100',
  'timezone=UTC',
  'log_timezone=UTC',
  'shared_buffers=256MB',
  'max_wal_size=2GB',
  'checkpoint_timeout=15min',
  'log_min_messages=warning',
  'log_checkpoints=off',
  'log_min_error_statement=panic' // statements may carry messages, which must not be logged
]

export interface Folders {
  data: string
  /** The folder of the socket. */
  host: string
  logFile: string
}

export class Postmaster {
  readonly #program: Program
  readonly #folders: Folders
  #pid = 0
  #child: ChildProcess | undefined // none when the server is adopted

  constructor(program: Program, folders: Folders) {
    this.#program = program
    this.#folders = folders
  }

  /** The process of this moment; 0 before the first. */
  get pid(): number {
    return this.#pid
  }

  /** Takes charge of a postmaster that runs: our own, or one that outlived its Holdfast. */
  adopt(pid: number): void {
    if (pid !== this.#child?.pid) this.#child = undefined
    this.#pid = pid
  }

  async launch(): Promise<void> {
    const { data, host, logFile } = this.#folders
    await mkdir(host, { recursive: true, mode: 0o700 })
    await chmod(host, 0o700) // the server trusts whoever reaches the socket
    await handOver(this.#program, host)
    await handOver(this.#program, data)
    const output = openSync(logFile, 'a', 0o600)
    if (this.#pid === 0) ftruncateSync(output) // nothing else bounds the log
    const args = ['-D', data, '-k', host, '-p', String(port), ...settings.flatMap(text => ['-c', text])]
    const child = spawn(...commandLine(this.#program, 'postgres', args), {
      cwd: '/',
      detached: true, // in our process group, Ctrl-C would stop it before the service has drained
      stdio: ['ignore', output, output]
    })
    this.#child = child
    closeSync(output)
    await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject))
    this.#pid = child.pid!
  }

  async runs(): Promise<boolean> {
    return this.#child === undefined
      ? await isPostmaster(this.#pid, this.#folders.data)
      : this.#child.exitCode === null && this.#child.signalCode === null
  }

  /**
   * Sends the signals in turn until the process has ended, each with ten seconds to work. SIGINT is
   * PostgreSQL's fast shutdown, which rolls back open transactions. After SIGQUIT the next start
   * recovers.
   */
  async halt(...signals: Array<'SIGINT' | 'SIGQUIT'>): Promise<void> {
    for (const signal of signals) {
      if (!(await this.runs())) return
      process.kill(this.#pid, signal)
      for (const untilMs = Date.now() + 10_000; Date.now() < untilMs && (await this.runs());) await sleep(10)
    }
  }

  /** Why the server gave up, from its log. */
  async lastWords(): Promise<string> {
    const lines = (await readFile(this.#folders.logFile, 'utf8')).trimEnd().split('\n')
    const line = lines.findLast(line => /FATAL|PANIC/.test(line)) ?? lines.at(-1) ?? ''
    return line.replace(/^.*?(FATAL|PANIC): +/, '')
  }
}

interface RunningPostmaster {
  pid: number
  /** The folder of its socket. */
  host: string
  stopping: boolean
}

/** The live postmaster on this data, if there is one, as its lock file describes it. */
export async function findPostmaster(data: string): Promise<RunningPostmaster | undefined> {
  const lockFile = join(data, 'postmaster.pid')
  const lines = (await readFile(lockFile, 'utf8').catch(() => '')).split('\n')
  const pid = Number(lines[0])
  if (await isPostmaster(pid, data)) {
    return { pid, host: lines[4]!, stopping: lines[7]?.startsWith('stopping') ?? false }
  }
  if (pid === 0 || (await commandOf(pid)) === '') return undefined
  // After a crash the number may belong to another process, and PostgreSQL would refuse to start.
  // It ignores the number of its own parent, and then checks whether anybody still uses the shared
  // memory named in the same file. So the file gets our own number.
  await writeFile(`${lockFile}.new`, [process.pid, ...lines.slice(1)].join('\n'))
  await rename(`${lockFile}.new`, lockFile)
  return undefined
}

async function isPostmaster(pid: number, data: string): Promise<boolean> {
  return (await commandOf(pid)).includes(`-D ${data} `)
}

/** The command line of a process; '' when there is none, or it is dead and not yet reaped. */
async function commandOf(pid: number): Promise<string> {
  try {
    if (process.platform !== 'linux') {
      return (await run('ps', ['-ww', '-o', 'command=', '-p', String(pid)])).stdout
    }
    return (await readFile(`/proc/${pid}/cmdline`, 'utf8')).replaceAll('\0', ' ')
  } catch {
    return ''
  }
}
