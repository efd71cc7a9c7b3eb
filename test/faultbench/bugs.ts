/** Bugs put into a copy of the source, one at a time, to see that the bench finds them. */
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const folder = fileURLToPath(new URL('bugs/', import.meta.url))
const product = fileURLToPath(new URL('../../', import.meta.url))

export interface Bug {
  name: string
  what: string
  faults: string[]
}

/** The first line of a patch says what is wrong, the second which faults show it. */
export async function bugs(): Promise<Bug[]> {
  return await Promise.all(
    (await readdir(folder)).sort().map(async file => {
      const [what, faults] = (await readFile(join(folder, file), 'utf8')).split('\n')
      return {
        name: file.replace('.patch', ''),
        what: what!,
        faults: faults!.replace('Faults: ', '').split(', ')
      }
    })
  )
}

/** Copies the source, and removes the copy after the work. */
export async function withCopy<T>(work: (root: string) => Promise<T>): Promise<T> {
  const root = await mkdtemp(join(tmpdir(), 'holdfast-bug-'))
  try {
    for (const path of ['src', 'migrations', 'bin', 'openapi', 'package.json']) {
      await cp(join(product, path), join(root, path), { recursive: true })
    }
    await symlink(join(product, 'node_modules'), join(root, 'node_modules'))
    return await work(root)
  } finally {
    await rm(root, { recursive: true, force: true })
  }
}

/** Puts a bug into a copy, or with `--check` only tries to. Throws when the patch no longer applies. */
export async function putIn(name: string, root: string, ...options: '--check'[]): Promise<void> {
  // Without this ceiling git would look for a repository, and take the paths of the patch for its.
  await promisify(execFile)('git', ['apply', ...options, join(folder, `${name}.patch`)], {
    cwd: root,
    env: { ...process.env, GIT_CEILING_DIRECTORIES: dirname(root) }
  }).catch(error => {
    throw new Error(
      `The bug ${name} can no longer be put in (${error.stderr?.trim()}). ` +
        `Make test/faultbench/bugs/${name}.patch anew.`
    )
  })
}

/** Copies the source and puts the bug in. */
export async function withBug<T>(name: string, work: (root: string) => Promise<T>): Promise<T> {
  return await withCopy(async root => {
    await putIn(name, root)
    return await work(root)
  })
}
