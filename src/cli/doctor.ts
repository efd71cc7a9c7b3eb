/** holdfast doctor: checks a deployment, and says what was measured and what to do. */
import { styleText } from 'node:util'
import type { Config } from '../config.ts'
import { exit, UsageError, wholeNumber, type Command } from './command.ts'
import { count, type Check } from './doctor/check.ts'
import { judge } from './doctor/judge.ts'
import { askHeldBounds } from './doctor/shares.ts'

export const doctor: Command = {
  summary: 'check a deployment, and say what to do where something is wrong',
  about: `
Checks the database of HOLDFAST_DATABASE_URL, or the embedded one. Use the settings of the services, which may
run meanwhile. It changes nothing. It prints a line per check (ok, warning or bad, and what was measured), and
below it what to do.

Exit codes: 0 nothing is bad, though there may be warnings; 1 something is bad; 2 it could not check.`,
  flags: {
    replicas: {
      value: 'N',
      help: 'services that will share the database (default: those that run now, at least 1)'
    },
    json: { help: 'print JSON: {"status", "checks": [{"name", "status", "value", "advice"}]}' }
  },
  async run(call) {
    const replicas = wholeNumber(call, 'replicas', { min: 1, max: 1000, otherwise: 0 })
    const checks = await examine(call.config(), replicas)
    const status = worstOf(checks.map(check => check.status))
    if (call.has('json')) call.say(JSON.stringify({ status, checks }, null, 2))
    else for (const line of render(checks)) call.say(line)
    return status === 'bad' ? exit.failed : exit.ok
  }
}

/** Every check of one deployment. `replicas` as the flag says it. Throws UsageError where it cannot check. */
export async function examine(config: Config, replicas: number): Promise<Check[]> {
  const { readDoctorFacts } = await import('../databaseTasks.ts')
  const facts = await readDoctorFacts(config).catch(error => {
    throw new UsageError(`The deployment could not be checked. ${error.message}`)
  })
  const heldBounds = await askHeldBounds(config)
  return judge(facts, config, { replicas, filesMax: openFilesMax(), heldBounds })
}

/** `ok` where there is none. */
export function worstOf(statuses: Check['status'][]): Check['status'] {
  const worstFirst = ['bad', 'warning'] as const
  return worstFirst.find(worst => statuses.includes(worst)) ?? 'ok'
}

const colours = { ok: 'green', warning: 'yellow', bad: 'red' } as const

/** The checks as lines for people. */
export function render(checks: Check[]): string[] {
  const width = Math.max(...checks.map(({ name }) => name.length))
  const number = (status: Check['status']) => checks.filter(check => check.status === status).length
  const lines = checks.flatMap(({ name, status, value, advice }) => {
    // styleText leaves colours out where the output is no terminal, or NO_COLOR is set.
    const label = styleText(colours[status], status.padEnd(7), { stream: process.stdout })
    const line = `${label}  ${name.padEnd(width)}  ${value}`
    return advice === undefined ? [line] : [line, `${' '.repeat(9 + width)}  → ${advice}`]
  })
  return [...lines, '', `${number('bad')} bad, ${count(number('warning'), 'warning')}, ${number('ok')} ok`]
}

/** The limit of open files of this process, and so of a service started from the same shell. */
function openFilesMax(): number | null {
  const { userLimits } = process.report.getReport() as {
    userLimits?: { open_files?: { soft: number | 'unlimited' } }
  }
  const soft = userLimits?.open_files?.soft
  if (soft === undefined) return null
  return soft === 'unlimited' ? Infinity : soft
}
