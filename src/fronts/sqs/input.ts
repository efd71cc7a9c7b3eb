/** Checks the input of an operation against its structure, whichever protocol it came by. */
import { listMax, requestMembersMax } from '../../core/limits.ts'
import { invalidValue, missing, SqsError } from './errors.ts'
import { isScalar, type Shape } from './shape.ts'
import { structureNamed } from './structures.ts'

const jsonTypes = { string: 'string', blob: 'string', integer: 'number', boolean: 'boolean' } as const

/** What is unknown is left out, and so is a null member. Refuses what is missing or has another type. */
export function checkedInput(value: unknown, structure: string, path = ''): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrongType(path === '' ? 'The body' : path.slice(0, -1), value, 'an object')
  }
  const { list, required } = structureNamed(structure)
  const checked: Record<string, unknown> = {}
  for (const [member, shape] of list) {
    const given = Object.hasOwn(value, member) ? (value as Record<string, unknown>)[member] : undefined
    if (given != null) checked[member] = checkedValue(given, shape, path + member)
  }
  for (const member of required) {
    if (checked[member] !== undefined) continue
    // An entry of a batch that lacks anything but its id fails alone.
    if (member === 'Id' || !structure.endsWith('BatchRequestEntry')) throw missing(path + member)
    checked[member] = ''
  }
  return checked
}

function checkedValue(value: unknown, shape: Shape, path: string): unknown {
  if (typeof shape === 'string') {
    return isScalar(shape) ? checkedScalar(value, shape, path) : checkedInput(value, shape, `${path}.`)
  }
  if ('list' in shape) {
    if (!Array.isArray(value)) throw wrongType(path, value, 'a list')
    if (value.length > listMax) throw invalidValue(`${path} has more than ${listMax} items.`)
    return value.map((item, index) => checkedValue(item, shape.list, `${shape.name}.${index + 1}`))
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw wrongType(path, value, 'an object')
  }
  const entries = Object.entries(value)
  if (entries.length > requestMembersMax) {
    throw invalidValue(`${path} has more than ${requestMembersMax} names.`)
  }
  // A name such as __proto__ is a name like any other.
  return Object.fromEntries(
    entries.map(([key, item]) => {
      if (item === null) throw invalidValue(`${path}.${key} must not be null.`)
      return [key, checkedValue(item, shape.map, `${path}.${key}`)]
    })
  )
}

function checkedScalar(value: unknown, shape: keyof typeof jsonTypes, path: string): unknown {
  const type: string = typeof value
  if (type !== jsonTypes[shape] || (shape === 'integer' && !Number.isSafeInteger(value))) {
    throw wrongType(path, value, shape === 'integer' ? 'an integer' : `a ${jsonTypes[shape]}`)
  }
  return value
}

/** With the texts of AWS as far as they are known. */
function wrongType(path: string, value: unknown, wanted: string): SqsError {
  return new SqsError('SerializationException', `${path} must be ${wanted}. ${whatIsWrong(value, wanted)}`)
}

function whatIsWrong(value: unknown, wanted: string): string {
  if (Array.isArray(value)) return 'Start of list found where not expected'
  if (typeof value === 'object') return 'Start of structure or map found where not expected.'
  const found = (typeof value === 'boolean' ? String(value) : typeof value).toUpperCase()
  return `${found}_VALUE can not be converted to ${wanted.replace(/ \w/, letter => letter.toUpperCase())}`
}
