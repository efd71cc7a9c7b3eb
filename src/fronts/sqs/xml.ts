/** Writes answers of the query protocol. No XML is ever read. */
import { carriedOf } from './messageAttributes.ts'
import { isScalar, type Shape } from './shape.ts'
import { structureNamed } from './structures.ts'

const namespace = 'http://queue.amazonaws.com/doc/2012-11-05/'

const entities: Record<string, string> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\r': '&#xD;'
}
// A carriage return by itself would be read as a line feed.
const escaped = (text: string) => carriedOf(text).replace(/[&<>"\r]/g, character => entities[character]!)

/** `output` null: the operation answers nothing. */
export function resultXml(
  operation: string,
  output: string | null,
  result: Record<string, unknown>,
  requestId: string
): string {
  const content = output === null ? '' : elementXml(`${operation}Result`, structureXml(result, output))
  return (
    `<?xml version="1.0"?><${operation}Response xmlns="${namespace}">${content}` +
    `<ResponseMetadata><RequestId>${requestId}</RequestId></ResponseMetadata></${operation}Response>`
  )
}

const elementXml = (name: string, content: string): string =>
  content === '' ? `<${name}/>` : `<${name}>${content}</${name}>`

/** An error in the query protocol. */
export function errorXml(
  error: { isSenders: boolean; legacyCode: string; legacyMessage: string },
  requestId: string
) {
  return (
    `<?xml version="1.0"?><ErrorResponse xmlns="${namespace}"><Error>` +
    `<Type>${error.isSenders ? 'Sender' : 'Receiver'}</Type><Code>${error.legacyCode}</Code>` +
    `<Message>${escaped(error.legacyMessage)}</Message><Detail/></Error>` +
    `<RequestId>${requestId}</RequestId></ErrorResponse>`
  )
}

function structureXml(value: Record<string, unknown>, structure: string): string {
  let xml = ''
  for (const [member, shape] of structureNamed(structure).list) {
    if (value[member] !== undefined) xml += memberXml(member, value[member], shape)
  }
  return xml
}

function memberXml(member: string, value: unknown, shape: Shape): string {
  if (typeof shape === 'string') return `<${member}>${contentXml(value, shape)}</${member}>`
  if ('list' in shape) {
    return (value as unknown[])
      .map(item => `<${shape.name}>${contentXml(item, shape.list)}</${shape.name}>`)
      .join('')
  }
  return Object.entries(value as object)
    .map(
      ([key, item]) =>
        `<${shape.name}><${shape.key}>${escaped(key)}</${shape.key}>` +
        `<${shape.value}>${contentXml(item, shape.map)}</${shape.value}></${shape.name}>`
    )
    .join('')
}

const contentXml = (value: unknown, shape: string): string =>
  isScalar(shape) ? escaped(String(value)) : structureXml(value as Record<string, unknown>, shape)
