/** Runs the Python client as its users do: by the system's Python, with nothing installed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { python } from '../support/debian.ts'

/** Why tests of the Python client are skipped; false where they run. */
export const noPython = existsSync(python) ? false : `not here: ${python}`

export async function runPython(args: string[], url: string): Promise<{ code: number; said: string }> {
  const child = spawn(python, args, {
    cwd: 'clients/python',
    env: { PATH: process.env.PATH, HOLDFAST_URL: url, PYTHONPATH: 'src', PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', data => {
      said += data
    })
  }
  const [code] = await once(child, 'close')
  return { code, said }
}
