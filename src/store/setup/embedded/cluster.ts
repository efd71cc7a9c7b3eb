/** The cluster's folders: the data, and the socket through which the server is reached. */
import { access, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { port, user } from './address.ts'
import { commandLine, firstComplaint, handOver, run, type Program } from './program.ts'

/**
 * Creates the cluster unless it exists. It is made in a folder beside its place and renamed, so
 * that a half-made cluster is never taken for a whole one. Throws an Error with a sentence for a
 * person.
 */
export async function createCluster(program: Program, home: string, data: string): Promise<void> {
  if (await clusterExists(data)) return
  try {
    const draft = await mkdtemp(`${data}.new-`)
    await handOver(program, draft)
    const args = ['-D', draft, '-U', user, '--auth=trust', '--no-locale', '--encoding=UTF8']
    await run(...commandLine(program, 'initdb', args), { cwd: '/' })
    await rename(draft, data)
    // The names must be as durable as what PostgreSQL will commit under them.
    for (const folder of [home, dirname(home)]) await syncFolder(folder)
  } catch (error) {
    // Another start may have created it at the same time.
    if (!(await clusterExists(data))) {
      throw new Error(`The embedded PostgreSQL could not be set up in ${home} (${firstComplaint(error)}).`)
    }
  } finally {
    for (const name of await readdir(home)) {
      if (name.startsWith('postgres.new-')) await rm(join(home, name), { recursive: true, force: true })
    }
  }
}

function clusterExists(data: string): Promise<boolean> {
  return access(join(data, 'PG_VERSION')).then(
    () => true,
    () => false
  )
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * A private folder for the socket, with a path short enough for the kernel: 107 bytes on Linux, 103
 * on macOS.
 */
export async function chooseSocketFolder(home: string): Promise<string> {
  const beside = join(home, 'socket')
  return Buffer.byteLength(join(beside, `.s.PGSQL.${port}`)) <= 103
    ? beside
    : await mkdtemp(join(tmpdir(), 'holdfast-'))
}
