/** The command line: reads the settings, dispatches, sets the exit code. */
import { writeFile } from 'node:fs/promises'
import closeWithGrace from 'close-with-grace'
import { readConfig, settings } from './config.ts'
import { startService } from './service.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)

const help = `Usage: holdfast <command>

  serve     run the service (npm start)
  openapi   write openapi/openapi.json anew (npm run openapi)

Settings are environment variables:
${Object.values(settings).map(({ name, help, default: value }) => `  ${name}\n      ${help}${value === '' ? '' : ` Default ${value === true ? 'on' : value}.`}`).join('\n')}
`

async function serve (): Promise<void> {
  const service = await startService(readConfig(process.env), say)
  // What was begun has a statement's time to finish; the process manager's own patience should be longer.
  closeWithGrace({ delay: 20_000, logger: false }, async ({ err }) => {
    if (err) process.stderr.write(`${err.stack}\n`)
    say('Stopping: finishing what was begun.')
    await service.stop()
  })
  say(welcome(service.url, service.database))
}

function welcome (url: string, database: string): string {
  const post = `curl -X POST ${url}/queues/mail`
  return `
Holdfast serves on ${url}, with its messages in ${database}

  Enqueue   ${post}/messages -H 'content-type: application/json' -d '{"body": {"to": "ada@example.org"}}'
  Lease     ${post}/lease
  Ack       ${post}/ack -H 'content-type: application/json' -d '{"receipt": "…from the lease…"}'

  Swagger UI is at ${url}/docs    Stop with Ctrl-C
`
}

async function openapi (): Promise<void> {
  const { describeApi } = await import('./http/server.ts')
  await writeFile(new URL('../openapi/openapi.json', import.meta.url), await describeApi())
}

const commands: Record<string, () => Promise<void>> = { serve, openapi, help: async () => { say(help) } }
const name = process.argv[2] ?? 'help'
const command = commands[name.replace(/^--?/, '')]
try {
  if (command === undefined) throw new Error(`There is no command ${name}; holdfast help shows them.`)
  await command()
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}
