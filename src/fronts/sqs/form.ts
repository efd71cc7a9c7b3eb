/** Reads a request of the query protocol: fields of a form become the object that JSON would give. */
import { requestMembersMax } from '../../core/limits.ts'
import { SqsError, tooLarge } from './errors.ts'
import { isScalar, type Shape } from './shape.ts'
import { structureNamed } from './structures.ts'

/** Fields whose names begin alike. `Tag.1.Key` stands at `Tag`, `1`, `Key`. */
interface Node {
  value?: string
  children: Map<string, Node>
}

const partsMax = 8

/** The fields of a form, of a body or of an address. Refuses what is not well-formed. */
export function readFields(text: string): Map<string, string> {
  const fields = new Map<string, string>()
  let count = 0
  for (let start = 0, end = 0; start <= text.length; start = end + 1) {
    end = text.indexOf('&', start)
    if (end < 0) end = text.length
    if (end === start) continue
    if (++count > requestMembersMax) {
      throw tooLarge(`The form has more than ${requestMembersMax} fields.`)
    }
    const field = text.slice(start, end)
    const at = field.indexOf('=')
    const name = at < 0 ? field : field.slice(0, at)
    fields.set(decode(name), at < 0 ? '' : decode(field.slice(at + 1)))
  }
  return fields
}

function decode(text: string): string {
  if (!text.includes('%') && !text.includes('+')) return text
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    throw new SqsError('MalformedQueryString', 'The form is not percent-encoded UTF-8.')
  }
}

/** The input of an operation, as JSON would give it. */
export function inputOf(fields: Map<string, string>, structure: string): Record<string, unknown> {
  const root: Node = { children: new Map() }
  for (const [name, value] of fields) {
    let node = root
    for (const part of name.split('.', partsMax)) {
      const next = node.children.get(part) ?? { children: new Map() }
      node.children.set(part, next)
      node = next
    }
    node.value = value
  }
  return structureOf(root, structure)
}

function structureOf(node: Node, structure: string): Record<string, unknown> {
  const read: Record<string, unknown> = {}
  for (const [member, shape] of structureNamed(structure).list) {
    const value = valueOf(node, member, shape)
    if (value !== undefined) read[member] = value
  }
  return read
}

/** The value of a member. undefined: the form has none. */
function valueOf(parent: Node, member: string, shape: Shape): unknown {
  const node = parent.children.get(typeof shape === 'string' ? member : shape.name)
  if (node === undefined) return isEmptyList(parent, member, shape) ? [] : undefined
  if (typeof shape === 'string') {
    return isScalar(shape) ? scalarOf(node, member, shape) : structureOf(node, shape)
  }
  if ('list' in shape) return itemsOf(node).map(item => itemOf(item, member, shape.list))
  const isOne = node.children.has(shape.key)
  const entries = (isOne ? [node] : itemsOf(node)).map(entry => {
    const value = entry.children.get(shape.value) ?? { value: '', children: new Map() }
    return [entry.children.get(shape.key)?.value ?? '', itemOf(value, member, shape.map)] as const
  })
  return Object.fromEntries(entries)
}

/**
 * A form has no item of an empty list. Boto sends an empty field with the name of the member, and others
 * send nothing. A batch without entries is always one: it is refused for that.
 */
function isEmptyList({ children }: Node, member: string, shape: Shape): boolean {
  const isList = typeof shape !== 'string' && 'list' in shape
  return isList && (member === 'Entries' || children.get(member)?.value === '')
}

/** The items of a list by their numbers. One item may stand without a number. */
function itemsOf(node: Node): Node[] {
  if (node.value !== undefined && node.children.size === 0) return node.value === '' ? [] : [node]
  return [...node.children]
    .filter(([key]) => /^\d{1,9}$/.test(key))
    .sort(([a], [b]) => Number(a) - Number(b))
    .map(([, item]) => item)
}

const itemOf = (node: Node, member: string, shape: string): unknown =>
  isScalar(shape) ? scalarOf(node, member, shape) : structureOf(node, shape)

function scalarOf({ value = '' }: Node, member: string, shape: string): unknown {
  if (shape === 'integer' && /^[+-]?\d{1,15}$/.test(value)) return Number(value)
  if (shape === 'integer') {
    throw new SqsError(
      'InvalidParameterValue',
      `Value ${value} for parameter ${member} is invalid. Reason: Must be an integer.`
    )
  }
  return shape === 'boolean' ? value === 'true' : value
}
