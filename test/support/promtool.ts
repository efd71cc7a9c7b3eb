/**
 * Prometheus's own checker of alert rules. Where there is none, it is unpacked from Debian's package
 * of Prometheus, which is not installed, and kept among the dependencies.
 */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const folder = fileURLToPath(new URL('../../node_modules/.cache/promtool/', import.meta.url))
const kept = join(folder, 'promtool')
const downloadMsMax = 60_000

/** Why tests that need promtool are skipped. */
export const noPromtool =
  'there is no promtool here: apt-get install prometheus, or name one in HOLDFAST_TEST_PROMTOOL'

/** Where promtool is; null where there is none and none can be had. */
export async function findPromtool(): Promise<string | null> {
  const paths = [process.env.HOLDFAST_TEST_PROMTOOL, '/usr/bin/promtool', '/usr/local/bin/promtool', kept]
  const found = paths.find(path => path !== undefined && existsSync(path))
  return found ?? (await unpack().catch(() => null))
}

async function unpack(): Promise<string> {
  const workFolder = await mkdtemp(join(tmpdir(), 'promtool-'))
  try {
    const options = { cwd: workFolder, timeout: downloadMsMax }
    const download = () => run('apt-get', ['-qq', 'download', 'prometheus'], options)
    // A fresh container has no lists of packages yet.
    await download().catch(async () => {
      await run('apt-get', ['-qq', 'update'], options)
      await download()
    })
    const [archive] = await readdir(workFolder)
    await run('dpkg-deb', ['-x', archive!, 'unpacked'], options)
    const program = join(workFolder, 'unpacked/usr/bin/promtool')
    await run(program, ['--version'])
    await mkdir(folder, { recursive: true })
    await run('cp', [program, `${kept}.${process.pid}`])
    await rename(`${kept}.${process.pid}`, kept)
    return kept
  } finally {
    await rm(workFolder, { recursive: true, force: true })
  }
}
