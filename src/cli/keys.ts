/** holdfast keys: make, list and revoke API keys, beside a service that runs or without one. */
import { keyNamePattern, queueActions, rightInWords, rightPattern, topicActions } from '../core/apiKey.ts'
import { apiKeyNameCharsMax, rateMax } from '../core/limits.ts'
import type { ApiKeys } from '../core/ports.ts'
import type { KeptSchedule } from '../core/schedule.ts'
import { exit, runVerb, table, UsageError, type Call, type Command } from './command.ts'

/** What an action allows, where its name does not say it. */
const notes: Partial<Record<string, string>> = {
  lease: 'includes settling',
  manage: 'settings, purge, redrive, cancel, delete'
}
const noted = (actions: readonly string[]) =>
  actions.map(action => (notes[action] === undefined ? action : `${action} (${notes[action]})`)).join(', ')

export const keys: Command = {
  summary: 'make, list and revoke API keys',
  words: 'create NAME | list | revoke ID',
  about: `
  create NAME   make a key; it is printed once, alone, to standard output; the first one must be an admin key
  list          list the keys, without their secrets
  revoke ID     revoke a key; every replica refuses it within five seconds. Its schedules stay and
                are listed

A right is an action on one queue (lease:mail), on all queues whose names begin alike (enqueue:orders-*),
or on all queues (browse:*), and so for topics (publish:news). The right admin, alone, allows everything.

  actions on queues   ${noted(queueActions)}
  actions on topics   ${noted(topicActions)}

For example, a first key and one of a worker:

  holdfast keys create ops --allow admin
  holdfast keys create 'mail worker' --allow lease:mail --allow enqueue:mail-replies`,
  flags: {
    allow: { value: 'RIGHT', many: true, help: 'create: a right of the key; give the flag once per right' },
    'requests-per-second': { value: 'N', help: 'create: how many requests a second each replica takes' },
    'messages-per-second': {
      value: 'N',
      help: 'create: how many messages a second it may enqueue and lease at each replica'
    },
    sqs: { help: 'create: also print the key as clients of SQS take it' },
    'pause-schedules': { help: 'revoke: also pause the schedules that the key owns' },
    json: { help: 'list: print JSON' }
  },
  run: call =>
    runVerb(
      call,
      { alone: { list }, withWord: { create, revoke } },
      'Use holdfast keys create NAME --allow RIGHT, holdfast keys list, or holdfast keys revoke ID. ' +
        'Put a name of several words in quotes.'
    )
}

async function withApiKeys<T>(call: Call, work: (apiKeys: ApiKeys) => Promise<T>): Promise<T> {
  const config = call.config()
  const tasks = await import('../databaseTasks.ts')
  return await tasks.withApiKeys(config, work)
}

async function create(call: Call, name: string): Promise<void> {
  const grant = grantOf(call, name)
  const forSqs = call.has('sqs')
  if (forSqs && (await secretAccessKey(call, 'none')) === null) {
    throw new UsageError(
      'Keys for SQS need a secret of the service: openssl rand -base64 48 > signing-secret, and then ' +
        'HOLDFAST_SIGNING_SECRET_FILE=signing-secret for every replica and for this command.'
    )
  }
  const made = await withApiKeys(call, apiKeys => apiKeys.create(grant))
  process.stderr.write(
    `This is the key ${made.id} for ${made.name}. It is shown only once. ` +
      'Send it as Authorization: Bearer …\n'
  )
  call.say(made.secret)
  if (!forSqs) return
  call.say(`AWS_ACCESS_KEY_ID=${made.id}`)
  call.say(`AWS_SECRET_ACCESS_KEY=${await secretAccessKey(call, made.id)}`)
}

/** What the words say of a new key. Throws UsageError. */
function grantOf(call: Call, name: string) {
  if (!new RegExp(keyNamePattern, 'u').test(name)) {
    throw new UsageError(
      `The name of a key must have 1 to ${apiKeyNameCharsMax} characters, none of them a control ` +
        'character or invisible.'
    )
  }
  const rights = call.flag('allow')
  const wrong = rights.find(right => !new RegExp(rightPattern).test(right))
  if (wrong !== undefined) {
    throw new UsageError(`${wrong} is not a right. A right is ${rightInWords}.`)
  }
  if (rights.length === 0) {
    throw new UsageError('Say what the key may do, for example --allow lease:mail or --allow admin.')
  }
  return {
    name,
    rights,
    requestsPerSecond: rate(call, 'requests-per-second'),
    messagesPerSecond: rate(call, 'messages-per-second')
  }
}

async function secretAccessKey(call: Call, keyId: string): Promise<string | null> {
  const tasks = await import('../databaseTasks.ts')
  return await tasks.secretAccessKey(call.config(), keyId)
}

function rate({ flag }: Call, name: string): number | null {
  const [text] = flag(name)
  if (text === undefined) return null
  if (!(Number(text) > 0 && Number(text) <= rateMax)) {
    throw new UsageError(`--${name} must be a number above 0 and at most ${rateMax}.`)
  }
  return Number(text)
}

async function list(call: Call): Promise<void> {
  const all = await withApiKeys(call, apiKeys => apiKeys.list())
  if (call.has('json')) return call.say(JSON.stringify(all, null, 2))
  const rows = all.map(key => [
    key.id,
    key.name,
    key.rights.join(' '),
    String(key.requestsPerSecond ?? '–'),
    String(key.messagesPerSecond ?? '–'),
    key.createdAt
  ])
  for (const line of table([['id', 'name', 'rights', 'requests/s', 'messages/s', 'made'], ...rows])) {
    call.say(line)
  }
}

async function revoke(call: Call, id: string): Promise<number> {
  const pause = call.has('pause-schedules')
  const { revoked, schedules } = await withApiKeys(call, apiKeys => apiKeys.revoke(id, pause))
  process.stderr.write(
    revoked
      ? `The key ${id} is revoked. Every replica refuses it within five seconds.\n`
      : `There is no key ${id}. List the keys with holdfast keys list.\n`
  )
  for (const sentence of describeKept(id, schedules)) process.stderr.write(`${sentence}\n`)
  return revoked || (pause && schedules.length > 0) ? exit.ok : exit.failed
}

function describeKept(id: string, schedules: KeptSchedule[]): string[] {
  const names = (paused: boolean) =>
    schedules
      .filter(schedule => schedule.paused === paused)
      .map(({ name }) => name)
      .join(', ')
  const sentences: string[] = []
  if (names(true) !== '') sentences.push(`Its schedules that are paused: ${names(true)}`)
  if (names(false) !== '') {
    sentences.push(
      `Its schedules that go on firing: ${names(false)}`,
      `To pause these, use holdfast keys revoke ${id} --pause-schedules`
    )
  }
  return sentences
}
