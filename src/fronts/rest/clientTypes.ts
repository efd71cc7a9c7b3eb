/** The types and bounds of the client for TypeScript. */
import { columnsMax, exported, limits, wrapped, type Shape } from './clientShapes.ts'

/** The text of src/client/types.ts. */
export function clientTypes(): string {
  const declarations = exported.map(
    schema => `${commentOf(schema.description, '')}export ${declarationOf(schema)}\n`
  )
  return (
    '/** What goes over the wire. npm run generate makes it from src/fronts/rest/contract. */\n\n' +
    declarations.join('\n')
  )
}

function declarationOf(schema: Shape): string {
  const { title, properties } = schema
  if (properties !== undefined) return `interface ${title} ${expanded(schema, '')}`
  const line = `type ${title} = ${expanded(schema, '')}`
  return line.length <= columnsMax ? line : line.replaceAll(' | ', '\n  | ').replace('= ', '=\n  | ')
}

/** The text of src/client/limits.ts. */
export function clientLimits(): string {
  const lines = Object.entries(limits).map(([name, bound]) => `export const ${name} = ${bound}\n`)
  return (
    '/** Bounds of the service. npm run generate takes them from src/core/limits.ts. */\n\n' + lines.join('')
  )
}

/** The text of clients/python/src/holdfast/_limits.py. */
export function pythonLimits(): string {
  const lines = Object.entries(limits).map(([name, bound]) => {
    return `${name.replace(/[A-Z]/g, letter => `_${letter}`).toUpperCase()} = ${bound}\n`
  })
  return (
    '"""Bounds of the service. npm run generate takes them from src/core/limits.ts."""\n' + lines.join('')
  )
}

const names = new Set(exported.map(({ title }) => title))

/** The type of a shape: its name, if it has one that is exported. */
function typeOf(shape: Shape, indent: string): string {
  return shape.title !== undefined && names.has(shape.title) ? shape.title : expanded(shape, indent)
}

function expanded(shape: Shape, indent: string): string {
  if (shape.anyOf !== undefined) return shape.anyOf.map(one => typeOf(one, indent)).join(' | ')
  if (shape.enum !== undefined) return shape.enum.map(literal).join(' | ')
  if (shape.const !== undefined) return literal(shape.const)
  if (shape.additionalProperties) return `Record<string, ${typeOf(shape.additionalProperties, indent)}>`
  if (Array.isArray(shape.type)) {
    return shape.type.map(type => typeOf({ ...shape, type }, indent)).join(' | ')
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
    const comment = commentOf(shape.description, `${indent}  `)
    const type = typeOf(shape, `${indent}  `)
    const isRequired = required.includes(name)
    const orUndefined = isRequired || type === 'unknown' ? '' : ' | undefined'
    const line = `${indent}  ${name}${isRequired ? '' : '?'}: ${type}${orUndefined}`
    return `${comment}${line.length <= columnsMax ? line : listed(line, indent)}\n`
  })
  return `{\n${fields.join('')}${indent}}`
}

/** A choice that is too long for one line, one value on each. */
function listed(line: string, indent: string): string {
  return line.includes('{')
    ? line
    : line.replaceAll(' | ', `\n${indent}    | `).replace(': ', `:\n${indent}    | `)
}

/** A doc comment, on one line if it fits; nothing for no text. */
function commentOf(text: string | undefined, indent: string): string {
  if (text === undefined) return ''
  const line = `${indent}/** ${text} */\n`
  if (line.length <= columnsMax) return line
  return `${indent}/**\n${wrapped(text, `${indent} * `)}${indent} */\n`
}

function literal(value: unknown): string {
  return typeof value === 'string' ? `'${value}'` : String(value)
}
