/** The types of the Go client, made from the schemas of the routes, as those of TypeScript are. */
import { codes } from '../../core/errors.ts'
import { exported, limits, wrapped, type Shape } from './clientTypes.ts'

/**
 * How a type is used. In a request, zero is a field left out, unless the service takes zero for a value. In
 * a change, null, false and an empty map are values of their own. In an answer, zero is what was left out.
 */
type Use = 'request' | 'change' | 'answer'

const schemas: Record<string, Shape> = Object.fromEntries(
  (exported as Shape[]).map(schema => [schema.title!, schema])
)

/** Each type of the Go client: its use, and what it is. */
const types: Record<string, [Use, string]> = {
  NewMessage: ['request', 'is a message to enqueue. Its Body may be anything that encoding/json can encode.'],
  NextMessage: ['request', 'is a message that an ack enqueues in its own commit.'],
  RawOptions: ['request', 'are the options of EnqueueRaw.'],
  Enqueued: ['answer', 'is the answer to an enqueue, given after the commit.'],
  Ack: ['request', 'says that the work on a message is done.'],
  LeaseRequest: ['request', 'asks for messages.'],
  LeasedMessage: ['answer', "is a message in a worker's hands."],
  Failure: ['request', 'says that the work on a message failed.'],
  Extension: ['request', 'asks for more time.'],
  Outcome: ['answer', 'is what became of a receipt.'],
  Leased: ['answer', 'is the answer to a lease.'],
  BrowseQuery: ['request', 'chooses messages.'],
  MessagePage: ['answer', 'is a page of messages, by id.'],
  MessageDetail: ['answer', 'is one message with its lease and its history.'],
  Explanation: ['answer', 'tells why a message is where it is.'],
  QueueSettings: ['change', 'are the settings of a queue to change. Null lifts a bound.'],
  QueueReport: ['answer', 'is what a queue is set to, and how it is doing.'],
  QueuesQuery: ['request', 'chooses queues.'],
  QueueList: ['answer', 'is a page of queues, by name.'],
  DeleteQueueQuery: ['request', 'says when a queue may be removed.'],
  Series: ['answer', 'is the last hour of a queue.'],
  FailuresQuery: ['request', 'chooses failed messages.'],
  Failures: ['answer', 'are failed messages, grouped by the reason of their last failure.'],
  Consumers: ['answer', 'are the workers seen lately on a queue.'],
  PageQuery: ['request', 'chooses a page of a list.'],
  GroupList: ['answer', 'is a page of the groups of a queue.'],
  PurgeRequest: ['request', 'chooses messages to remove.'],
  PurgeAnswer: ['answer', 'tells how many messages were removed, or match.'],
  RedriveRequest: ['request', 'chooses messages that died.'],
  RedriveAnswer: ['answer', 'tells how many messages became ready, or match.'],
  RedriveList: ['answer', 'are the redrives of a queue that keep to a rate.'],
  RetryRequest: ['request', 'chooses messages that wait.'],
  RetryAnswer: ['answer', 'tells how many messages became ready, or match.'],
  Publication: ['request', 'is a message to publish to a topic.'],
  RawPublication: ['request', 'are the options of PublishRaw.'],
  PublishAnswer: ['answer', 'are the copies of published messages.'],
  SubscriptionChange: ['request', 'is a subscription to make, or to change.'],
  Subscription: ['answer', 'is a queue that gets messages of a topic.'],
  Topic: ['answer', 'is a topic with its subscriptions.'],
  TopicsQuery: ['request', 'chooses topics.'],
  TopicList: ['answer', 'is a page of topics, by name.'],
  PushChange: ['change', 'is a push to make, or what to change of one.'],
  Push: ['answer', 'is the delivery of a queue to an HTTP endpoint.'],
  PushReport: ['answer', 'is a push, and what the replica that answers knows of it.'],
  PushTest: ['answer', 'is what came of a test.'],
  PushRotated: ['answer', 'is a push with its new secret.'],
  ScheduleChange: ['change', 'is a schedule to make, or what to change of one.'],
  Schedule: ['answer', 'is a schedule with its message and its next times.'],
  ScheduleList: ['answer', 'is a page of schedules, by name, without their messages.'],
  KeyRequest: ['request', 'is an API key to make.'],
  KeyChange: ['change', 'is what to change of an API key.'],
  KeyInfo: ['answer', 'is an API key without its secret.'],
  KeyMade: ['answer', 'is a new API key with its secret.'],
  RevokeKeyQuery: ['request', 'says what becomes of the schedules of a key.'],
  KeptSchedules: ['answer', 'are the schedules of a key that was revoked.']
}

/** Names for what has none in the contract. Others are called by their parent and their field. */
const names: Record<string, string> = {
  'NewMessage.unique': 'Unique',
  'Unique.until': 'UniqueUntil',
  'Unique.onConflict': 'OnConflict',
  'LeasedMessage.lastFailure': 'LastFailure',
  'LeasedMessage.origin': 'Origin',
  'Outcome.outcome': 'OutcomeName',
  'Outcome.then': 'Next',
  'BrowseQuery.state': 'StateName',
  'MessagePage.messages': 'Message',
  'MessageDetail.lease': 'Lease',
  'MessageDetail.unique': 'HeldKey',
  'MessageDetail.history': 'PastAttempt',
  'PastAttempt.outcome': 'AttemptOutcome',
  'Explanation.reasons': 'Reason',
  'Reason.code': 'ReasonCode',
  'Reason.by': 'Blocker',
  'QueueSettings.retry': 'Retry',
  'Retry.strategy': 'RetryStrategy',
  'QueueSettings.ordering': 'Ordering',
  'QueueSettings.fairness': 'Fairness',
  'QueueSettings.rate': 'Rate',
  'QueueReport.settings': 'Settings',
  'QueueReport.counts': 'Counts',
  'QueueReport.limits': 'Limits',
  'FailuresQuery.state': 'FailingState',
  'Failures.groups': 'FailureGroup',
  'FailureGroup.example': 'FailureExample',
  'Consumers.consumers': 'Consumer',
  'GroupList.groups': 'Group',
  'Group.first': 'GroupFirst',
  'GroupFirst.state': 'GroupFirstState',
  'PurgeRequest.where': 'Filter',
  'RedriveList.redrives': 'RedriveTask',
  'RedriveTask.state': 'RedriveState',
  'RedriveTask.failure': 'RedriveFailure',
  'PublishAnswer.messages': 'Copy',
  'Topic.subscriptions': 'TopicSubscription',
  'TopicList.topics': 'TopicSummary',
  'PushReport.slowed': 'PushSlowed',
  'PushReport.deliveries': 'Delivery',
  'Delivery.outcome': 'DeliveryOutcome',
  'ScheduleChange.missed': 'Missed',
  'Schedule.owner': 'ScheduleOwner',
  'Schedule.lastRun': 'LastRun',
  'LastRun.outcome': 'RunOutcome',
  'ScheduleList.schedules': 'ScheduleSummary',
  'KeptSchedules.schedules': 'KeptSchedule'
}

/** JavaScript holds 53 bits of it, and Go has 32 on small machines. */
const wide = ['fence']
const initialisms: Record<string, string> = { id: 'ID', ids: 'IDs', json: 'JSON', ttl: 'TTL', url: 'URL' }

/** The text of clients/go/types.go. */
export function goTypes(): string {
  const writer = new GoWriter()
  for (const [name, [use, about]] of Object.entries(types)) {
    writer.struct(schemas[name]!, name, use, about)
  }
  const bounds = Object.entries(limits)
  const width = Math.max(...bounds.map(([name]) => name.length))
  return [
    '// Code generated by npm run generate from src/fronts/rest/contract. DO NOT EDIT.\n',
    'package holdfast\n',
    'import (\n\t"encoding/json"\n\t"time"\n)\n',
    '// Bounds of the service.',
    `const (\n${bounds.map(([name, bound]) => `\t${name.padEnd(width)} = ${bound}\n`).join('')})\n`,
    "// Code is from the service's closed list, which docs/errors.md explains.",
    'type Code string\n',
    constantsOf('Code', 'Code', [...codes]),
    ...writer.declared
  ].join('\n')
}

class GoWriter {
  readonly declared: string[] = []
  /** What is declared already: the name by the text. Equal shapes are one type. */
  readonly #names = new Map<string, string>()

  /** The name of the struct for an object, which is declared if it is new. */
  struct(shape: Shape, wanted: string, use: Use, about: string): string {
    const { properties = {}, required = [] } = merged(shape)
    const fields = Object.entries(properties).map(([name, field]) => {
      const isOptional = !required.includes(name)
      return this.#field(wanted, name, field, isOptional, use)
    })
    const key = JSON.stringify(fields.map(({ name, type, tag }) => [name, type, tag]))
    const declare = () =>
      `${wrapped(`${wanted} ${about}`, '// ')}type ${wanted} struct {\n${aligned(fields)}}\n`
    return this.#named(key, wanted, declare)
  }

  #field(parent: string, name: string, shape: Shape, isOptional: boolean, use: Use): Field {
    const { plain, isNullable } = withoutNull(shape)
    const type = this.#typeOf(plain, parent, name, use)
    const mayOmit = isOptional && !(isNullable && use === 'answer')
    return {
      name: goName(name),
      type: fieldType(type, { plain, isOptional, isNullable, use }),
      tag: `\`json:"${name}${mayOmit ? ',omitempty' : ''}"\``,
      about: plain.description ?? shape.description
    }
  }

  #typeOf(shape: Shape, parent: string, field: string, use: Use): string {
    const name = names[`${parent}.${field}`] ?? `${parent}${goName(field)}`
    const choices = choicesOf(shape)
    if (choices.length > 0) return this.#choice(choices, name, parent, field)
    if (shape.const !== undefined) return 'bool'
    if (shape.patternProperties !== undefined) return 'map[string]string'
    if (shape.anyOf !== undefined || shape.properties !== undefined) {
      return this.struct(shape, name, use, `is ${JSON.stringify(field)} of ${parent}.`)
    }
    switch (shape.type) {
      case 'array': {
        const { plain, isNullable } = withoutNull(shape.items!)
        return `[]${isNullable ? '*' : ''}${this.#typeOf(plain, parent, field, use)}`
      }
      case 'integer':
        return wide.includes(field) ? 'int64' : 'int'
      case 'number':
        return 'float64'
      case 'string':
        return shape.format === 'date-time' ? 'time.Time' : 'string'
      case 'boolean':
        return 'bool'
      default:
        return use === 'answer' ? 'json.RawMessage' : 'any'
    }
  }

  #choice(choices: string[], name: string, parent: string, field: string): string {
    return this.#named(JSON.stringify(choices), name, () => {
      const constants = constantsOf(name, name.replace(/Name$/, ''), choices)
      return `// ${name} is ${JSON.stringify(field)} of ${parent}.\ntype ${name} string\n\n${constants}`
    })
  }

  #named(key: string, wanted: string, declare: () => string): string {
    const known = this.#names.get(key)
    if (known !== undefined) return known
    if ([...this.#names.values()].includes(wanted)) throw new Error(`Two shapes are called ${wanted}.`)
    this.#names.set(key, wanted)
    this.declared.push(declare())
    return wanted
  }
}

interface Field {
  name: string
  type: string
  tag: string
  about: string | undefined
}

/** How Go says that a field may be missing, or null. */
function fieldType(
  type: string,
  { plain, isOptional, isNullable, use }: { plain: Shape; isOptional: boolean; isNullable: boolean; use: Use }
): string {
  if (/^(\[\]|any$|json\.)/.test(type)) return type
  if (isNullable && use !== 'request') return use === 'answer' ? `*${type}` : `*Nullable[${type}]`
  if (!isOptional) return type
  const isStruct = plain.properties !== undefined || type === 'time.Time'
  if (use === 'answer') return isStruct ? `*${type}` : type
  const isNumber = type === 'int' || type === 'float64'
  const isZeroRefused = (plain.minimum ?? 0) > 0 || plain.exclusiveMinimum !== undefined
  const isZeroValue = use === 'change' && (type === 'bool' || type.startsWith('map'))
  return isStruct || (isNumber && !isZeroRefused) || isZeroValue ? `*${type}` : type
}

/** One object from several of which one comes: what all of them require stays required. */
function merged(shape: Shape): Shape {
  if (shape.anyOf === undefined) return shape
  const properties: Record<string, Shape> = {}
  for (const each of shape.anyOf) {
    for (const [name, field] of Object.entries(each.properties ?? {})) {
      const before = properties[name]
      const choices = before === undefined ? [] : [...choicesOf(before), ...choicesOf(field)]
      properties[name] = choices.length > 0 ? { type: 'string', enum: choices } : field
    }
  }
  const required = Object.keys(properties).filter(name =>
    shape.anyOf!.every(each => each.required?.includes(name))
  )
  return { properties, required }
}

function choicesOf(shape: Shape): string[] {
  const choices = shape.enum ?? [shape.const]
  return choices.filter(choice => typeof choice === 'string')
}

function withoutNull(shape: Shape): { plain: Shape; isNullable: boolean } {
  const all = shape.anyOf ?? []
  const others = all.filter(each => each.type !== 'null')
  const isNullable = others.length < all.length
  if (!isNullable) return { plain: shape, isNullable }
  return { plain: others.length === 1 ? others[0]! : { ...shape, anyOf: others }, isNullable }
}

/** The fields as gofmt lays them out: in columns, up to the next comment. */
function aligned(fields: Field[]): string {
  const runs: Field[][] = []
  for (const field of fields) {
    if (field.about !== undefined || runs.length === 0) runs.push([])
    runs.at(-1)!.push(field)
  }
  return runs
    .flatMap(run => {
      const nameWidth = Math.max(...run.map(({ name }) => name.length))
      const typeWidth = Math.max(...run.map(({ type }) => type.length))
      return run.map(({ name, type, tag, about }) => {
        const comment = about === undefined ? '' : wrapped(about, '\t// ')
        return `${comment}\t${name.padEnd(nameWidth)} ${type.padEnd(typeWidth)} ${tag}\n`
      })
    })
    .join('')
}

function constantsOf(type: string, prefix: string, values: string[]): string {
  const width = Math.max(...values.map(value => goName(value).length))
  const lines = values.map(value => `\t${prefix}${goName(value).padEnd(width)} ${type} = "${value}"\n`)
  return `const (\n${lines.join('')})\n`
}

/** A name of the contract as Go spells it: `ttlSeconds` is `TTLSeconds`. */
function goName(name: string): string {
  return name
    .split(/(?=[A-Z])/)
    .map(word => initialisms[word.toLowerCase()] ?? word[0]!.toUpperCase() + word.slice(1))
    .join('')
}
