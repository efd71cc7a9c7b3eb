/** Debian's PostgreSQL, which has the tools for backups that the embedded one lacks. */
import { readdirSync } from 'node:fs'
import { appendFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import pg from 'pg'
import type { Test } from 'tap'
import {
  commandLine,
  findProgram,
  handOver,
  run,
  type Program
} from '../../src/store/setup/embedded/program.ts'
import { Postmaster } from '../../src/store/setup/embedded/postmaster.ts'
import { withoutPackage } from './debian.ts'
import { pollPause } from './pollPause.ts'

/** Why tests that need it are skipped; false when it is there. */
export const noDebianPostgres = withoutPackage('postgresql')

const superuser = 'postgres'

/** The folder of its programs, of the latest version. */
export function debianPrograms(): string {
  const home = '/usr/lib/postgresql'
  const [version] = readdirSync(home).sort((a, b) => Number(b) - Number(a))
  return join(home, version!, 'bin')
}

interface DebianServer {
  url(role: string, database: string): string
  adminUrl: string
  stop(): Promise<void>
}

async function debianProgram(): Promise<Program> {
  return { ...(await findProgram()), bin: debianPrograms() }
}

/** Makes a cluster in a folder, with these lines in its configuration. */
export async function createDebianCluster(data: string, settings: string): Promise<void> {
  const program = await debianProgram()
  await mkdir(data, { mode: 0o700 })
  await handOver(program, data)
  const args = ['-D', data, '-U', superuser, '--auth=trust', '--no-locale', '--encoding=UTF8', '--no-sync']
  await run(...commandLine(program, 'initdb', args), { cwd: '/' })
  await appendFile(join(data, 'postgresql.conf'), settings)
}

/** Lets the server write into a folder. */
export async function giveToServer(folder: string): Promise<void> {
  await handOver(await debianProgram(), folder)
}

/** Starts a server on the data, and answers once it takes writes. It is killed when `t` ends. */
export async function startDebianServer(t: Test, data: string, host: string): Promise<DebianServer> {
  const postmaster = new Postmaster(await debianProgram(), { data, host, logFile: `${data}.log` })
  await postmaster.launch()
  t.teardown(() => postmaster.halt('SIGQUIT'))
  const url = (role: string, database: string) =>
    `postgresql://${role}@/${database}?host=${encodeURIComponent(host)}&port=5432`
  const adminUrl = url(superuser, 'postgres')
  while (!(await takesWrites(adminUrl))) {
    if (!(await postmaster.runs())) throw new Error(await postmaster.lastWords())
    await pollPause()
  }
  return { url, adminUrl, stop: () => postmaster.halt('SIGINT', 'SIGQUIT') }
}

async function takesWrites(url: string): Promise<boolean> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  try {
    await client.connect()
    const { rows } = await client.query('select not pg_is_in_recovery() as writes')
    return rows[0].writes
  } catch {
    return false
  } finally {
    await client.end().catch(() => {})
  }
}
