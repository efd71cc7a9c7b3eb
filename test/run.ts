/**
 * Runs the tests on one PostgreSQL, started for them. Its last line says how many passed: `N
 * passed, N failed`.
 */
import { spawn } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { inspect } from 'node:util'
import { Parser } from 'tap-parser'
import { startEmbedded } from '../src/store/setup/embedded.ts'

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => interrupted.abort())

/** The shared server needs some hundred megabytes. Its databases come and go. */
const dataBytesMin = 4 * 2 ** 30
const memory = '/dev/shm'

const folder = await openFolder(tmpdir())
// Each test makes a database and drops it: half a second on a disk, and a twentieth in memory. Tests of
// what a crash leaves have servers of their own, on the disk.
const dataFolder = await openFolder((await hasRoom(memory)) ? memory : tmpdir())
try {
  // .tap/test-results would not do: a second run in the same tree writes there too, and it does not
  // say how a file ended.
  const results = join(folder, 'results.tap')
  const ended = await runTap(results)
  const { passed, skipped, failures } = count(await readFile(results, 'utf8').catch(() => ''))
  if (ended !== 0 && failures.length === 0) failures.push(`tap ended with ${ended}`)
  if (passed === 0 && failures.length === 0) failures.push('no test ran')
  for (const failure of failures) say(`failed: ${failure}`)
  say(`${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exitCode = failures.length > 0 ? 1 : 0
} finally {
  for (const each of [folder, dataFolder]) await rm(each, { recursive: true, force: true, maxRetries: 5 })
}

async function openFolder(parent: string): Promise<string> {
  const folder = await mkdtemp(join(parent, 'holdfast-run-'))
  await chmod(folder, 0o755) // a test runs PostgreSQL as nobody
  return folder
}

async function hasRoom(place: string): Promise<boolean> {
  const stats = await statfs(place).catch(() => null)
  return stats !== null && stats.bavail * stats.bsize >= dataBytesMin
}

/** Returns tap's exit code, or the signal that ended it. */
async function runTap(results: string): Promise<number | NodeJS.Signals | null> {
  const postgres =
    process.env.HOLDFAST_TEST_POSTGRES === undefined
      ? await startEmbedded(join(dataFolder, 'data'), say)
      : undefined
  try {
    const tap = fileURLToPath(new URL('../node_modules/.bin/tap', import.meta.url))
    // Without a terminal, the reporter tee prints the results and keeps them. Tap's own reporters
    // write cursor movements even into a pipe. Those that print plain lines print each twice beside
    // an output file.
    const reporting = process.stdout.isTTY
      ? [`--output-file=${results}`]
      : ['--reporter=tee', `--reporter-arg=${results}`]
    interrupted.signal.throwIfAborted()
    const child = spawn(process.execPath, [tap, ...reporting, ...process.argv.slice(2)], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      env: {
        ...process.env,
        // Files that an interrupted test leaves behind are removed with the folder.
        TMPDIR: folder,
        // Each file is a process of its own. With the cache it starts in half the processor time.
        NODE_COMPILE_CACHE: join(folder, 'compiled'),
        ...(postgres && { HOLDFAST_TEST_POSTGRES: postgres.url })
      },
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true
    })
    // The whole process group gets the signal: tap alone would wait for its last test file.
    const end = () => process.kill(-(child.pid as number), 'SIGTERM')
    interrupted.signal.addEventListener('abort', end)
    return await new Promise(resolve =>
      child.on('exit', (code, signal) => {
        interrupted.signal.removeEventListener('abort', end)
        resolve(code ?? signal)
      })
    )
  } finally {
    await postgres?.stop()
  }
}

/**
 * Counts each t.test at the top of a file once, not each assertion. A file that ended badly though
 * its tests passed is one failure.
 */
function count(tap: string): { passed: number; skipped: number; failures: string[] } {
  const failures: string[] = []
  const files = new Map<string, boolean>()
  let passed = 0
  let skipped = 0
  const parser = new Parser()
  parser.on('child', (file: Parser) => {
    files.set(file.name, true)
    file.on('assert', result => {
      if (result.skip !== false || result.todo !== false) skipped++
      else if (result.ok) passed++
      else {
        files.set(file.name, false)
        failures.push([`${file.name} > ${result.name}`, ...causes.splice(0)].join('\n'))
      }
    })
    const causes: string[] = []
    file.on('child', (test: Parser) => findCauses(test, causes))
  })
  parser.on('assert', ({ ok, name, diag }) => {
    if (!ok && files.get(name)) failures.push(`${name} (exit code ${diag?.exitCode}, signal ${diag?.signal})`)
  })
  parser.end(tap)
  return { passed, skipped, failures }
}

/** Collects why assertions fail inside a test: the log of a run may be cut before its end. */
function findCauses(test: Parser, causes: string[]): void {
  test.on('child', (inner: Parser) => findCauses(inner, causes))
  test.on('assert', ({ ok, name, diag }) => {
    if (!ok && diag) causes.push(`${name}\n${inspect(diag, { depth: 4 })}`.slice(0, 4000))
  })
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
