/** The command line: finds the command, and turns its answer or its error into the exit code. */
import { readFile } from 'node:fs/promises'
import { apply } from './cli/apply.ts'
import { bench } from './cli/bench.ts'
import { cells } from './cli/cells.ts'
import { exit, readCall, suggest, usage, UsageError, type Command } from './cli/command.ts'
import { doctor } from './cli/doctor.ts'
import { exportQueues } from './cli/export.ts'
import { keys } from './cli/keys.ts'
import { migrate } from './cli/migrate.ts'
import { openapi } from './cli/openapi.ts'
import { serve } from './cli/serve.ts'
import { defaultAsText, environment, readConfig, type Config } from './config.ts'

const commands: Record<string, Command> = {
  serve,
  migrate,
  keys,
  apply,
  export: exportQueues,
  doctor,
  cells,
  bench,
  openapi
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}

// `holdfast doctor | head` reads no more. The command still ends as it should.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error
  })
}

function help(): string {
  const commandLines = Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(9)} ${summary}`)
  const settingLines = Object.values(environment).map(setting => {
    const shown = defaultAsText(setting)
    return `  ${setting.name}\n      ${setting.help}${shown === '' ? '' : ` Default: ${shown}.`}`
  })
  return `Usage: holdfast [COMMAND] [flags]

Without a command it serves.

${commandLines.join('\n')}

Run holdfast COMMAND --help for more about a command, and holdfast --version for the release.
Exit codes:
  ${exit.ok} done
  ${exit.failed} failed, with the reason on standard error
  ${exit.usage} wrong words or settings; nothing was done

Settings are environment variables, the same for every command:
${settingLines.join('\n')}`
}

async function main([first = 'help', ...rest]: string[]): Promise<number | void> {
  if (first === '--version') return say(await readVersion())
  const wantsHelp = /^(-h|--help|help)$/.test(first)
  const name = wantsHelp ? rest[0] : first
  if (name === undefined) return say(help())
  const command = Object.hasOwn(commands, name) ? commands[name] : undefined
  if (command === undefined) {
    const suggestion = suggest(name, Object.keys(commands), 'holdfast ')
    throw new UsageError(`There is no command ${name}${suggestion} See all with holdfast help.`)
  }
  if (wantsHelp || rest.includes('--help') || rest.includes('-h')) return say(usage(name, command))
  return await command.run({
    ...readCall(name, command, rest),
    config: readSettings,
    variable: name => process.env[name],
    say
  })
}

async function readVersion(): Promise<string> {
  const text = await readFile(new URL('../package.json', import.meta.url), 'utf8')
  return JSON.parse(text).version
}

function readSettings(): Config {
  try {
    return readConfig(process.env)
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

try {
  process.exitCode = (await main(process.argv.slice(2))) ?? exit.ok
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = error instanceof UsageError ? exit.usage : exit.failed
}
