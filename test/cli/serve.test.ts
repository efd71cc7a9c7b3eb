/** What holdfast serve writes to standard output: lines of JSON, or text for a person in a terminal. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { freshDatabase } from '../support/postgres.ts'

/** Starts a program, calls `act` with what it prints so far until that is true, and awaits its end. */
async function outputOf(
  t: Test,
  words: string[],
  env: Record<string, string>,
  act: (line: string, child: ReturnType<typeof spawn>) => Promise<unknown> | void
): Promise<{ code: number | null; lines: string[]; errors: string }> {
  const [program, ...rest] = words
  const child = spawn(program!, rest, {
    env: { PATH: process.env.PATH, HOLDFAST_PORT: '0', ...env },
    stdio: 'pipe'
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: string[] = []
  let errors = ''
  child.stderr.on('data', text => {
    errors += text
  })
  const ended = once(child, 'close')
  for await (const line of createInterface({ input: child.stdout })) {
    lines.push(line)
    await act(line, child)
  }
  const [code] = await ended
  return { code, lines, errors }
}

const serve = [process.execPath, 'bin/holdfast.mjs', 'serve']

t.test('all of standard output is JSON, one object a line, at every log level', async t => {
  const { url } = await freshDatabase(t)
  for (const level of ['info', 'silent']) {
    const { code, lines, errors } = await outputOf(
      t,
      serve,
      { HOLDFAST_DATABASE_URL: url, HOLDFAST_LOG_LEVEL: level },
      async (line, child) => {
        const address = /serves on (http:\S+),/.exec(line)?.[1]
        if (address === undefined) return
        await fetch(`${address}/livez`)
        child.kill('SIGTERM')
      }
    )
    t.equal(code, 0)
    t.equal(errors, '')
    const messages = lines.map(line => JSON.parse(line))
    for (const message of messages) {
      t.match(message, { level: Number, time: Number, msg: String })
      t.notMatch(message.msg, /\n/)
    }
    t.match(
      messages.map(({ msg }) => msg),
      [
        /^There is no API key yet/,
        /^Holdfast serves on http:\/\/127\.0\.0\.1:\d+, with its messages in .*\.$/,
        ...(level === 'info' ? ['request'] : []),
        /^Stopping\./
      ]
    )
  }
})

const noTerminal = spawnSync('script', ['--version']).status !== 0 && 'there is no program script here'

t.test('in a terminal a person reads how to begin', { skip: noTerminal }, async t => {
  const { url } = await freshDatabase(t)
  const { lines } = await outputOf(
    t,
    ['script', '--quiet', '--command', serve.join(' '), '/dev/null'],
    { HOLDFAST_DATABASE_URL: url },
    (line, child) => {
      if (line.includes('Stop with Ctrl-C')) child.stdin!.write('\x03')
    }
  )
  const text = lines.join('\n')
  t.match(text, /^Holdfast serves on http:\S+, with its messages in /m)
  t.match(text, /^ {2}Enqueue {3}curl -X POST /m)
  t.match(text, /Stopping\. What was begun is finished first\.$/m)
  t.notMatch(text, /^\{/m)
})
