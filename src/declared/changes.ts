/** Fields that differ between a file and a service. */
import { isDeepStrictEqual } from 'node:util'
import type { Fields } from './shape.ts'

/** A field that changes, or with `member` one member of a group of settings: `retry.delaySeconds`. */
export interface Change {
  name: string
  member?: string
  /** undefined: a new thing has nothing before, and of keys with one name some differ. */
  before: unknown
  after: unknown
}

/** Settings that are given together have their defaults as an object with members. */
const isGroup = (value: unknown): value is Fields =>
  typeof value === 'object' && value !== null && Object.keys(value).length > 0

/** The fields, and the default of each that is left out. Of a group, of each member. */
export function withDefaults(fields: Fields, defaults: Fields): Fields {
  const filled = Object.entries(defaults).map(([name, value]) => [
    name,
    isGroup(value) ? { ...value, ...(fields[name] as Fields | undefined) } : (fields[name] ?? value)
  ])
  return { ...fields, ...Object.fromEntries(filled) }
}

/** The fields that are not yet as they should be. Of a group, single members. */
export function changesOf(wanted: Fields, current: Fields, defaults: Fields): Change[] {
  return Object.entries(wanted).flatMap(([name, after]): Change[] => {
    const before = current[name]
    if (isGroup(defaults[name])) {
      const members = changesOf(after as Fields, before as Fields, {})
      return members.map(change => ({ ...change, name, member: change.name }))
    }
    return isDeepStrictEqual(before, after) ? [] : [{ name, before, after }]
  })
}

/** What the fields are after these changes, without those that do not change. */
export function fieldsOf(changes: Change[]): Fields {
  const fields: Fields = {}
  for (const { name, member, after } of changes) {
    fields[name] = member === undefined ? after : { ...(fields[name] as Fields), [member]: after }
  }
  return fields
}
