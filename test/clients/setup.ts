/** Runs the clients as their users do: by the system's Python with nothing installed, and by Go. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { python } from '../support/debian.ts'

/** Why tests of the Python client are skipped; false where they run. */
export const noPython = existsSync(python) ? false : `not here: ${python}`

/** Go without the network. Runs share its cache, so that they compile only what has changed. */
export const goEnv = {
  PATH: process.env.PATH,
  HOME: homedir(),
  // Debian recommends a C compiler to Go, and the tests need none.
  CGO_ENABLED: '0',
  GOCACHE: process.env.GOCACHE ?? join(homedir(), '.cache/go-build'),
  GOFLAGS: '-mod=mod',
  GOPROXY: 'off',
  GOTOOLCHAIN: 'local'
}

interface Ended {
  code: number
  said: string
}

export function runPython(args: string[], url: string): Promise<Ended> {
  const { PATH } = process.env
  const env = { PATH, HOLDFAST_URL: url, PYTHONPATH: 'src', PYTHONDONTWRITEBYTECODE: '1' }
  return run(python, args, 'clients/python', env)
}

export function runGo(command: string, args: string[], env: Record<string, string> = {}): Promise<Ended> {
  return run(command, args, 'clients/go', { ...goEnv, ...env })
}

async function run(command: string, args: string[], cwd: string, env: NodeJS.ProcessEnv): Promise<Ended> {
  const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', data => {
      said += data
    })
  }
  const [code] = await once(child, 'close')
  return { code, said }
}
