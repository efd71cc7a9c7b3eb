/** The command line: finds the command, and turns what it answers or throws into the exit code. */
import { readFile } from 'node:fs/promises'
import { bench } from './cli/bench.ts'
import { exit, offer, readCall, usage, UsageError, type Command } from './cli/command.ts'
import { doctor } from './cli/doctor.ts'
import { keys } from './cli/keys.ts'
import { migrate } from './cli/migrate.ts'
import { openapi } from './cli/openapi.ts'
import { serve } from './cli/serve.ts'
import { readConfig, settings } from './config.ts'

const say = (line: string): void => {
  process.stdout.write(`${line}\n`)
}
const commands: Record<string, Command> = { serve, migrate, keys, doctor, bench, openapi }

const help = () => `Usage: holdfast COMMAND [flags]

${Object.entries(commands)
  .map(([name, { summary }]) => `  ${name.padEnd(9)} ${summary}`)
  .join('\n')}

holdfast COMMAND --help says more about each; holdfast --version says which release this is.
Exit codes: ${exit.ok} done, ${exit.failed} failed (the reason is on standard error), ${exit.usage} wrong words or settings.

Settings are environment variables, the same for every command:
${Object.values(settings)
  .map(
    ({ name, help, default: value }) =>
      `  ${name}\n      ${help}${value === '' ? '' : ` Default ${value === true ? 'on' : value}.`}`
  )
  .join('\n')}`

async function main([first = 'help', ...rest]: string[]): Promise<number | void> {
  if (first === '--version') {
    return say(JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8')).version)
  }
  const asked = /^(-h|--help|help)$/.test(first)
  const name = asked ? rest[0] : first
  if (name === undefined) return say(help())
  const command = Object.hasOwn(commands, name) ? commands[name]! : undefined
  if (command === undefined) {
    throw new UsageError(
      `There is no command ${name}${offer(name, Object.keys(commands), 'holdfast ')} holdfast help ` +
        'shows them all.'
    )
  }
  if (asked || rest.some(arg => arg === '--help' || arg === '-h')) return say(usage(name, command))
  return await command.run({ ...readCall(name, command, rest), config, say })
}

function config() {
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
