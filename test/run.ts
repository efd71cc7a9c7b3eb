/**
 * Runs the tests on one PostgreSQL of their own and says in its last line how many passed: `N
 * passed, N failed`.
 */
import { spawn } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Parser } from 'tap-parser'
import { startEmbedded } from '../src/store/setup/embedded.ts'

const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => interrupted.abort())

const folder = await mkdtemp(join(tmpdir(), 'holdfast-run-'))
await chmod(folder, 0o755) // one test runs PostgreSQL as nobody
try {
  // Not .tap/test-results: a second run in the same tree writes there too, and it does not tell
  // how a file ended.
  const results = join(folder, 'results.tap')
  const ended = await runTap(results)
  const { passed, skipped, failures } = count(await readFile(results, 'utf8').catch(() => ''))
  if (ended !== 0 && failures.length === 0) failures.push(`tap ended with ${ended}`)
  if (passed === 0 && failures.length === 0) failures.push('no test ran')
  for (const failure of failures) say(`failed: ${failure}`)
  say(`${passed} passed, ${failures.length} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`)
  process.exitCode = failures.length > 0 ? 1 : 0
} finally {
  await rm(folder, { recursive: true, force: true, maxRetries: 5 })
}

/** Answers with tap's exit code, or with the signal that ended it. */
async function runTap(results: string): Promise<number | NodeJS.Signals | null> {
  const postgres =
    process.env.HOLDFAST_TEST_POSTGRES === undefined
      ? await startEmbedded(join(folder, 'data'), say)
      : undefined
  try {
    const tap = fileURLToPath(new URL('../node_modules/.bin/tap', import.meta.url))
    // Where there is no terminal tee prints the results and keeps them: tap's own reporters write
    // cursor movements even into a pipe or, like every other that prints plain lines, each line
    // twice beside an output file.
    const reporting = process.stdout.isTTY
      ? [`--output-file=${results}`]
      : ['--reporter=tee', `--reporter-arg=${results}`]
    interrupted.signal.throwIfAborted()
    const child = spawn(process.execPath, [tap, ...reporting, ...process.argv.slice(2)], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      // What an interrupted test leaves lying about goes with the folder.
      env: { ...process.env, TMPDIR: folder, ...(postgres && { HOLDFAST_TEST_POSTGRES: postgres.url }) },
      stdio: ['ignore', 'inherit', 'inherit'],
      detached: true
    })
    // To its whole process group: tap alone would wait for a last test file that knows nothing of the signal.
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
 * One per t.test of each file, not one per assertion; and one for a file that ended badly though
 * its tests passed.
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
        failures.push(`${file.name} > ${result.name}`)
      }
    })
  })
  parser.on('assert', ({ ok, name, diag }) => {
    if (!ok && files.get(name)) failures.push(`${name} (exit code ${diag?.exitCode}, signal ${diag?.signal})`)
  })
  parser.end(tap)
  return { passed, skipped, failures }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
