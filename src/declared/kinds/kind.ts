/** What a kind of things in a file is: queues, subscriptions, schedules, pushes or keys. */
import type { TSchema } from 'typebox'
import type { Service } from '../restService.ts'
import type { Declared, Fields } from '../shape.ts'

/** What names a thing within its kind: a queue, or a topic and a queue. */
export type Id = [string, string?]

/** A thing as the file declares it. */
export interface Entry {
  id: Id
  /** Where it stands in the file. */
  path: string[]
  fields: Fields
}

/** A thing as the service has it. */
export interface Found {
  id: Id
  /** All of them. Of keys with one name, a field in which they differ is undefined. */
  fields: Fields
  /** That a queue holds, in any state. */
  messages?: number
  /** The calls have this key. */
  isOwn?: boolean
}

/** A secret that the service shows once. */
export type KeepSecret = (kind: 'key' | 'push', name: string, secret: string) => Promise<void>

/** A thing to make, or these fields of it to change. */
export interface Wanted {
  id: Id
  fields: Fields
  isNew: boolean
}

/** Calls throw HoldfastError where the service refuses. */
export interface Kind {
  section: keyof Declared
  labelOf(id: Id): string
  /** Fields that a new one may leave out. */
  defaults: Fields
  /** Fields that a new one must have. */
  needs: string[]
  /** A new one has a secret. */
  isSecret: boolean
  entriesOf(declared: Declared): Entry[]
  /** Those of this kind that other sections of the file need, by the first part of their id. */
  namedElsewhere?(declared: Declared): Set<unknown>
  /** Refuses, as the core does, what no shape can say and fields alone can break. */
  check?(fields: Fields): void
  /** All that the key may see. What it may not see is noted as hidden. */
  readAll(service: Service): Promise<Found[]>
  /** Those of `ids` that are there. */
  readSome(service: Service, ids: Id[]): Promise<Found[]>
  put(service: Service, wanted: Wanted, keep: KeepSecret): Promise<void>
  /** Removes one. A queue that holds a message stays and is refused, unless `withMessages`. */
  remove(service: Service, id: Id, withMessages: boolean): Promise<void>
}

/** Entries of a section whose names are the ids. */
export const entriesIn = (section: 'queues' | 'schedules' | 'push' | 'keys') => (declared: Declared) =>
  Object.entries(declared[section] ?? {}).map(([name, fields]): Entry => ({
    id: [name],
    path: [section, name],
    fields
  }))

/** The fields that a call takes, of those that its answer has. */
export function pick(answer: object, shape: TSchema): Fields {
  const names = Object.keys((shape as unknown as { properties: object }).properties)
  return Object.fromEntries(Object.entries(answer).filter(([name]) => names.includes(name)))
}

export const isThere = <T>(value: T | null): value is T => value !== null
