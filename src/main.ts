/** The command line: reads the settings, dispatches, sets the exit code. */
import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import closeWithGrace from 'close-with-grace'
import { readConfig, settings } from './config.ts'
import { keyNamePattern, rateMax, rightPattern } from './core/keys.ts'
import { startService, withKeys } from './service.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)

const help = `Usage: holdfast <command>

  serve                  run the service (npm start)
  keys create NAME       make an API key: its rights by --allow, its rates by --requests-per-second and
                         --messages-per-second; the key itself is printed once, alone, to standard output
  keys list              show them
  keys revoke ID         end one: every replica refuses it within five seconds
  openapi                write openapi/openapi.json anew (npm run openapi)

A right is an action on a queue (lease:mail), on all whose name begins so (enqueue:orders-*), or on all (browse:*).
Actions: enqueue, lease (with settling), browse, manage (settings, purge, redrive, cancel, delete). The right admin,
alone, is everything. So:  holdfast keys create 'mail worker' --allow lease:mail --allow enqueue:mail-replies

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

async function keys (args: string[]): Promise<void> {
  const { positionals: [verb, subject], values } = parseArgs({
    args, allowPositionals: true,
    options: { allow: { type: 'string', multiple: true, default: [] }, 'requests-per-second': { type: 'string' }, 'messages-per-second': { type: 'string' } }
  })
  const rate = (name: 'requests-per-second' | 'messages-per-second') => {
    const value = values[name] === undefined ? null : Number(values[name])
    if (value !== null && !(value > 0 && value <= rateMax)) throw new Error(`--${name} must be a number above 0, at most ${rateMax}.`)
    return value
  }
  if (verb === 'create' && subject !== undefined) {
    if (!new RegExp(keyNamePattern).test(subject)) throw new Error('A key is named by 1 to 128 characters, none of them a control character.')
    const bad = values.allow.find((right) => !new RegExp(rightPattern).test(right))
    if (bad !== undefined) throw new Error(`${bad} is not a right. A right is admin, or an action and a queue: lease:mail, enqueue:orders-*, browse:*.`)
    if (values.allow.length === 0) throw new Error('Say what the key may do: --allow lease:mail, say, or --allow admin.')
    const made = await withKeys(readConfig(process.env), (keys) => keys.create({ name: subject, rights: values.allow, requestsPerSecond: rate('requests-per-second'), messagesPerSecond: rate('messages-per-second') }))
    process.stderr.write(`The key ${made.id} for ${made.name}. It is shown this once; send it as Authorization: Bearer …\n`)
    say(made.secret)
  } else if (verb === 'list' && subject === undefined) {
    const rows = (await withKeys(readConfig(process.env), (keys) => keys.list())).map(({ id, name, rights, requestsPerSecond, messagesPerSecond, createdAt }) =>
      [id, name, rights.join(' '), requestsPerSecond ?? '–', messagesPerSecond ?? '–', createdAt].map(String))
    const table = [['id', 'name', 'rights', 'requests/s', 'messages/s', 'made'], ...rows]
    const widths = table[0]!.map((_, column) => Math.max(...table.map((row) => row[column]!.length)))
    for (const row of table) say(row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ').trimEnd())
  } else if (verb === 'revoke' && subject !== undefined) {
    if (!await withKeys(readConfig(process.env), (keys) => keys.revoke(subject))) throw new Error(`There is no key ${subject}; holdfast keys list shows them.`)
    process.stderr.write(`The key ${subject} is revoked; every replica refuses it within five seconds.\n`)
  } else {
    throw new Error('It is holdfast keys create NAME --allow RIGHT, holdfast keys list, or holdfast keys revoke ID; holdfast help says more.')
  }
}

const commands: Record<string, (args: string[]) => Promise<void>> = { serve, keys, openapi, help: async () => { say(help) } }
const name = process.argv[2] ?? 'help'
const command = commands[name.replace(/^--?/, '')]
try {
  if (command === undefined) throw new Error(`There is no command ${name}; holdfast help shows them.`)
  await command(process.argv.slice(3))
} catch (error) {
  process.stderr.write(`${(error as Error).message}\n`)
  process.exitCode = 1
}
