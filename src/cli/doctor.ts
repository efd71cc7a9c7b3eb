/** holdfast doctor: looks at a deployment and says what is amiss, what was measured, and what to do. */
import { styleText } from 'node:util'
import { exit, UsageError, wholeNumber, type Command } from './command.ts'
import { judge, type Check } from './diagnosis.ts'

export const doctor: Command = {
  summary: 'check a deployment, and say what to do where something is amiss',
  about: `
Looks at the database of HOLDFAST_DATABASE_URL (or the embedded one) beside the services that run, with the settings they
run with, and changes nothing. One line for each thing: ok, warning or bad, what was measured, and below it what to do.

Exit codes: 0 nothing is bad (there may be warnings), 1 something is bad, 2 it could not look.`,
  flags: {
    replicas: {
      value: 'N',
      help: 'how many services will share the database (default: those that run, at least 1)'
    },
    json: { help: 'for machines: {"status", "checks": [{"name", "status", "value", "advice"}]}' }
  },
  async run(call) {
    const replicas = wholeNumber(call, 'replicas', { min: 1, max: 1000, otherwise: 0 })
    const config = call.config()
    const { examineDatabase } = await import('../service.ts')
    const facts = await examineDatabase(config).catch(error => {
      throw new UsageError(`Could not look. ${error.message}`)
    })
    const checks = judge(facts, config, { replicas, filesMax: filesMax() })
    const status =
      (['bad', 'warning'] as const).find(status => checks.some(check => check.status === status)) ?? 'ok'
    if (call.has('json')) call.say(JSON.stringify({ status, checks }, null, 2))
    else for (const line of render(checks)) call.say(line)
    return status === 'bad' ? exit.failed : exit.ok
  }
}

const colours = { ok: 'green', warning: 'yellow', bad: 'red' } as const

function render(checks: Check[]): string[] {
  const width = Math.max(...checks.map(({ name }) => name.length))
  const count = (status: Check['status']) => checks.filter(check => check.status === status).length
  return [
    // styleText leaves colours out where the output is no terminal, or NO_COLOR says so.
    ...checks.flatMap(({ name, status, value, advice }) => [
      `${styleText(colours[status], status.padEnd(7), { stream: process.stdout })}  ` +
        `${name.padEnd(width)}  ${value}`,
      ...(advice === undefined ? [] : [`${' '.repeat(9 + width)}  → ${advice}`])
    ]),
    '',
    `${count('bad')} bad, ${count('warning')} ${count('warning') === 1 ? 'warning' : 'warnings'}, ` +
      `${count('ok')} ok`
  ]
}

/** The limit of open files of this process, and so of a service started from the same shell. */
function filesMax(): number | null {
  const { userLimits } = process.report.getReport() as {
    userLimits?: { open_files?: { soft: number | 'unlimited' } }
  }
  const soft = userLimits?.open_files?.soft
  return soft === undefined ? null : soft === 'unlimited' ? Infinity : soft
}
