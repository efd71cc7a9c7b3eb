/**
 * The types of holdfast/client as TypeScript, made from the schemas of the routes, so that they
 * cannot differ from what is checked and answered.
 */
import type { TSchema } from 'typebox'
import * as schemas from './schemas.ts'

/** Each exported name, and the schema it stands for. */
const exported: Record<string, TSchema> = {
  NewMessage: schemas.Message,
  RawOptions: schemas.EnqueueQuery,
  Enqueued: schemas.Enqueued,
  LeaseRequest: schemas.LeaseRequest,
  LeasedMessage: schemas.Leased.properties.messages.items,
  Failure: schemas.Settle.fail.one,
  Extension: schemas.Settle.extend.one,
  Outcome: schemas.Outcome,
  BrowseQuery: schemas.BrowseQuery,
  MessagePage: schemas.MessagePage,
  MessageDetail: schemas.MessageDetail,
  QueueSettings: schemas.SettingsChange,
  QueueReport: schemas.QueueReport,
  QueueList: schemas.QueueList,
  PageQuery: schemas.PageQuery,
  PurgeRequest: schemas.PurgeRequest,
  PurgeAnswer: schemas.PurgeAnswer,
  RedriveRequest: schemas.RedriveRequest,
  RedriveAnswer: schemas.RedriveAnswer,
  RetryRequest: schemas.RetryRequest,
  RetryAnswer: schemas.RetryAnswer
}

/** The text of src/client/types.ts. */
export function clientTypes(): string {
  const interfaces = Object.entries(exported).map(
    ([name, schema]) =>
      `export ${'anyOf' in schema ? `type ${name} =` : `interface ${name}`} ${typeOf(schema as Shape, '')}\n`
  )
  return (
    '/** What goes over the wire. Made from src/fronts/rest/schemas.ts by npm run openapi; do not ' +
    `edit. */\n\n${interfaces.join('\n')}`
  )
}

interface Shape {
  type?: string
  description?: string
  properties?: Record<string, Shape>
  required?: string[]
  patternProperties?: Record<string, Shape>
  items?: Shape
  anyOf?: Shape[]
  enum?: unknown[]
  const?: unknown
}

function typeOf(shape: Shape, indent: string): string {
  if (shape.anyOf !== undefined) return shape.anyOf.map(one => typeOf(one, indent)).join(' | ')
  if (shape.enum !== undefined) return shape.enum.map(literal).join(' | ')
  if (shape.const !== undefined) return literal(shape.const)
  if (shape.patternProperties !== undefined) {
    return `Record<string, ${typeOf(Object.values(shape.patternProperties)[0]!, indent)}>`
  }
  switch (shape.type) {
    case 'object':
      return fieldsOf(shape, indent)
    case 'array':
      return `Array<${typeOf(shape.items!, indent)}>`
    case 'integer':
      return 'number'
    case 'string':
    case 'number':
    case 'boolean':
    case 'null':
      return shape.type
    default:
      return 'unknown'
  }
}

function fieldsOf({ properties = {}, required = [] }: Shape, indent: string): string {
  const fields = Object.entries(properties).map(([name, shape]) => {
    const comment = shape.description === undefined ? '' : `${indent}  /** ${shape.description} */\n`
    const type = typeOf(shape, `${indent}  `)
    return (
      `${comment}${indent}  ` +
      `${required.includes(name) ? `${name}: ${type}` : `${name}?: ${type}${type === 'unknown' ? '' : ' | undefined'}`}\n`
    )
  })
  return `{\n${fields.join('')}${indent}}`
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value)
}
