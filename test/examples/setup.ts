/** Starts examples as they stand, as real processes. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { goEnv } from '../clients/setup.ts'
import { noGo } from '../support/debian.ts'

const hasPython = spawnSync('python3', ['--version']).status === 0
/** Why tests that need Python are skipped; false where there is one. */
export const noPython = hasPython ? false : 'python3 is not installed'

const binaries = noGo === false ? await buildGo() : ''

/** Compiles the examples, because `go run` hands no signal on. Returns their folder. */
async function buildGo(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-go-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  for (const role of ['producer', 'worker']) {
    const program = `docs/examples/go/${role}.go`
    const { status, stderr } = spawnSync('go', ['build', '-o', join(folder, role), program], {
      encoding: 'utf8',
      env: goEnv
    })
    if (status !== 0) throw new Error(`${program} does not compile: ${stderr}`)
  }
  return folder
}

/** The command of a program in each language, by its role: producer or worker. */
export const programs: Record<string, (role: string) => string[]> = {
  shell: role => ['bash', `docs/examples/shell/${role}.sh`],
  typescript: role => [
    process.execPath,
    '--conditions=holdfast-source',
    `docs/examples/typescript/${role}.ts`
  ],
  ...(hasPython && { python: (role: string) => ['python3', `docs/examples/python/${role}.py`] }),
  ...(noGo === false && { go: (role: string) => [join(binaries, role)] })
}

export interface Running {
  child: ChildProcess
  ended: Promise<unknown[]>
  lines: string[]
  /** Waits for a line of output that fits. */
  line: (pattern: RegExp) => Promise<RegExpExecArray>
}

/** Starts an example. Killed when `t` ends. */
export function start(t: Test, [command, ...args]: string[], env: Record<string, string>): Running {
  const child = spawn(command!, args, {
    env: { PATH: process.env.PATH, PYTHONDONTWRITEBYTECODE: '1', ...env },
    stdio: ['ignore', 'pipe', 'inherit']
  })
  const ended = once(child, 'exit')
  const lines: string[] = []
  let closed = false
  const output = createInterface({ input: child.stdout! })
    .on('line', line => lines.push(line))
    .on('close', () => {
      closed = true
    })
  t.teardown(async () => {
    child.kill('SIGKILL')
    child.stdout!.destroy()
    await ended
  })
  return {
    child,
    ended,
    lines,
    async line(pattern) {
      for (let index = 0; ; index++) {
        while (index >= lines.length) {
          if (closed) throw new Error(`ended without ${pattern}: ${lines.join(' | ')}`)
          await new Promise<void>(resolve =>
            output.once('line', () => resolve()).once('close', () => resolve())
          )
        }
        const match = pattern.exec(lines[index]!)
        if (match !== null) return match
      }
    }
  }
}

/** An HTTP server before the service, and its URL. Closed when `t` ends. */
export async function listen(t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** The body of a request, and those of its headers that are named. */
export async function read(request: IncomingMessage, names: string[]) {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const present = names.filter(name => request.headers[name] !== undefined)
  return {
    body: Buffer.concat(chunks),
    headers: Object.fromEntries(present.map(name => [name, String(request.headers[name])]))
  }
}
