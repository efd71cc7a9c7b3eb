/** PgBouncer for tests, installed from Debian's package where that is possible. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import { withoutPackage } from './debian.ts'
import { freePort } from './tcpServer.ts'

const path = '/usr/sbin/pgbouncer'

/** Why tests that need PgBouncer are skipped; false when there is one. */
export const noPgbouncer = withoutPackage('pgbouncer')

/** Its release, as 1.18 is 1.18. */
export const pgbouncerRelease = (): number => {
  const { stdout } = spawnSync(path, ['--version'], { encoding: 'utf8' })
  const [, major, minor] = /PgBouncer (\d+)\.(\d+)/.exec(stdout) ?? []
  return Number(major) * 100 + Number(minor)
}

/** Starts one before the server on `port`, which ends with `t`. Answers the port that it serves on. */
export async function pgbouncer(
  t: Pick<Test, 'teardown'>,
  { port, mode, more = [] }: { port: number; mode: 'session' | 'transaction'; more?: string[] }
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-pgbouncer-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await chmod(folder, 0o755)
  const ownPort = await freePort()
  const file = join(folder, 'pgbouncer.ini')
  const users = join(folder, 'users.txt')
  await writeFile(users, '"holdfast" ""\n"app" ""\n')
  await writeFile(
    file,
    [
      '[databases]',
      `* = host=127.0.0.1 port=${port}`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${ownPort}`,
      'unix_socket_dir =',
      'auth_type = trust',
      `auth_file = ${users}`,
      `pool_mode = ${mode}`,
      ...more
    ].join('\n')
  )
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const child = spawn(path, [...asNobody, file], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGTERM')
    await ended
  })
  const said: string[] = []
  for await (const line of createInterface({ input: child.stderr })) {
    said.push(line)
    if (line.includes('process up')) {
      child.stderr.resume()
      return ownPort
    }
  }
  throw new Error(`PgBouncer did not start: ${said.join('\n')}`)
}
