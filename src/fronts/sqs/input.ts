/** Checks the input of an operation against its structure, whichever protocol it came by. */
import { missing, SqsError } from './errors.ts'
import { isScalar, type Shape } from './shape.ts'
import { structures } from './shapes.ts'

const jsonTypes = { string: 'string', blob: 'string', integer: 'number', boolean: 'boolean' } as const

/** What is unknown is left out, and so is null. Refuses what is missing or has another type. */
export function checkedInput(value: unknown, structure: string, path = ''): Record<string, any> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrongType(path === '' ? 'The body' : path, 'an object')
  }
  const { members, required } = structures[structure]!
  const checked: Record<string, unknown> = {}
  for (const [member, shape] of Object.entries(members)) {
    const given = Object.hasOwn(value, member) ? (value as Record<string, unknown>)[member] : undefined
    if (given != null) checked[member] = checkedValue(given, shape, path + member)
  }
  const absent = required.find(member => checked[member] === undefined)
  if (absent !== undefined) throw missing(path + absent)
  return checked
}

function checkedValue(value: unknown, shape: Shape, path: string): unknown {
  if (typeof shape === 'string') {
    return isScalar(shape) ? checkedScalar(value, shape, path) : checkedInput(value, shape, `${path}.`)
  }
  if ('list' in shape) {
    if (!Array.isArray(value)) throw wrongType(path, 'a list')
    return value.map((item, index) => checkedValue(item, shape.list, `${path}.${index + 1}`))
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrongType(path, 'an object')
  // A null says nothing, as elsewhere. A name such as __proto__ is a name like any other.
  const entries = Object.entries(value).filter(([, item]) => item !== null)
  return Object.fromEntries(
    entries.map(([key, item]) => [key, checkedValue(item, shape.map, `${path}.${key}`)])
  )
}

function checkedScalar(value: unknown, shape: keyof typeof jsonTypes, path: string): unknown {
  const type: string = typeof value
  if (type !== jsonTypes[shape] || (shape === 'integer' && !Number.isSafeInteger(value))) {
    throw wrongType(path, shape === 'integer' ? 'an integer' : `a ${jsonTypes[shape]}`)
  }
  return value
}

const wrongType = (path: string, wanted: string) =>
  new SqsError('SerializationException', `${path} must be ${wanted}.`)
