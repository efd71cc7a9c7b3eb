/** holdfast keys: make, list and revoke API keys, beside a service that runs or without one. */
import { rateMax } from '../core/limits.ts'
import { keyNamePattern, rightPattern } from '../core/apiKey.ts'
import type { ApiKeys } from '../core/ports.ts'
import { exit, table, UsageError, type Call, type Command } from './command.ts'

export const keys: Command = {
  summary: 'make, list and revoke API keys',
  words: 'create NAME | list | revoke ID',
  about: `
  create NAME   make a key; it is printed once, alone, to standard output
  list          show the keys, without what is secret
  revoke ID     end one: every replica refuses it within five seconds

A right is an action on a queue (lease:mail), on all whose name begins so (enqueue:orders-*), or on all (browse:*).
Actions: enqueue, lease (with settling), browse, manage (settings, purge, redrive, cancel, delete). The right admin,
alone, is everything. So:

  holdfast keys create 'mail worker' --allow lease:mail --allow enqueue:mail-replies`,
  flags: {
    allow: { value: 'RIGHT', many: true, help: 'create: what it may do; as often as needed' },
    'requests-per-second': { value: 'N', help: 'create: its rate of requests at each replica' },
    'messages-per-second': { value: 'N', help: 'create: its rate of messages enqueued and leased' },
    json: { help: 'list: as JSON' }
  },
  async run(call) {
    const [verb = '', subject, extra] = call.words
    const fits =
      Object.hasOwn(verbs, verb) && extra === undefined && (verb === 'list') === (subject === undefined)
    if (!fits) {
      throw new UsageError(
        'It is holdfast keys create NAME --allow RIGHT (a name of several words in quotes), holdfast ' +
          'keys list, or holdfast keys revoke ID.'
      )
    }
    return await verbs[verb as keyof typeof verbs](call, subject!)
  }
}

const verbs = { create, list, revoke }

async function withKeys<T>(call: Call, work: (keys: ApiKeys) => Promise<T>): Promise<T> {
  const config = call.config()
  return await (await import('../service.ts')).withKeys(config, work)
}

async function create(call: Call, name: string): Promise<void> {
  if (!new RegExp(keyNamePattern).test(name)) {
    throw new UsageError('A key is named by 1 to 128 characters, none of them a control character.')
  }
  const rights = call.flag('allow')
  const bad = rights.find(right => !new RegExp(rightPattern).test(right))
  if (bad !== undefined) {
    throw new UsageError(
      `${bad} is not a right. A right is admin, or an action and a queue: lease:mail, ` +
        'enqueue:orders-*, browse:*.'
    )
  }
  if (rights.length === 0) {
    throw new UsageError('Say what the key may do: --allow lease:mail, say, or --allow admin.')
  }
  const grant = {
    name,
    rights,
    requestsPerSecond: rate(call, 'requests-per-second'),
    messagesPerSecond: rate(call, 'messages-per-second')
  }
  const made = await withKeys(call, keys => keys.create(grant))
  process.stderr.write(
    `The key ${made.id} for ${made.name}. It is shown this once; send it as Authorization: Bearer …\n`
  )
  call.say(made.secret)
}

function rate({ flag }: Call, name: string): number | null {
  const [text] = flag(name)
  if (text === undefined) return null
  if (!(Number(text) > 0 && Number(text) <= rateMax)) {
    throw new UsageError(`--${name} must be a number above 0, at most ${rateMax}.`)
  }
  return Number(text)
}

async function list(call: Call): Promise<void> {
  const all = await withKeys(call, keys => keys.list())
  if (call.has('json')) return call.say(JSON.stringify(all, null, 2))
  const rows = all.map(({ id, name, rights, requestsPerSecond, messagesPerSecond, createdAt }) =>
    [id, name, rights.join(' '), requestsPerSecond ?? '–', messagesPerSecond ?? '–', createdAt].map(String)
  )
  for (const line of table([['id', 'name', 'rights', 'requests/s', 'messages/s', 'made'], ...rows])) {
    call.say(line)
  }
}

async function revoke(call: Call, id: string): Promise<number> {
  const was = await withKeys(call, keys => keys.revoke(id))
  process.stderr.write(
    was
      ? `The key ${id} is revoked; every replica refuses it within five seconds.\n`
      : `There is no key ${id}; holdfast keys list shows them.\n`
  )
  return was ? exit.ok : exit.failed
}
