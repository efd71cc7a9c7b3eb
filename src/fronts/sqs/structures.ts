/** Structures by their names, and the types of what they describe. */
import type { Scalar, Shape, Structure, StructureTable } from './shape.ts'
import { operations, structures } from './shapes.ts'

export type OperationName = keyof typeof operations
type StructureName = keyof typeof structures
type MembersOf<Name extends StructureName> = (typeof structures)[Name]['members']
type RequiredOf<Name extends StructureName> = keyof MembersOf<Name> &
  (typeof structures)[Name]['required'][number]

interface ScalarTypes extends Record<Scalar, unknown> {
  string: string
  integer: number
  boolean: boolean
  /** In base64. */
  blob: string
}

type ValueOf<Shape> = Shape extends Scalar
  ? ScalarTypes[Shape]
  : Shape extends StructureName
    ? StructureOf<Shape>
    : Shape extends { list: infer Item }
      ? ValueOf<Item>[]
      : Shape extends { map: infer Item }
        ? Record<string, ValueOf<Item>>
        : never

/** What `checkedInput` answers for a structure, and what an operation writes as one. */
export type StructureOf<Name extends StructureName> = {
  [Member in RequiredOf<Name>]: ValueOf<MembersOf<Name>[Member]>
} & {
  [Member in Exclude<keyof MembersOf<Name>, RequiredOf<Name>>]?: ValueOf<MembersOf<Name>[Member]>
}

/** What an operation takes. */
export type InputOf<Name extends OperationName> = StructureOf<(typeof operations)[Name]['input']>

/** What an operation answers. */
export type AnswerOf<Name extends OperationName> = (typeof operations)[Name]['output'] extends infer Output
  ? Output extends StructureName
    ? StructureOf<Output>
    : Nothing
  : never
export type Nothing = Record<string, never>

/** A structure, with its members as a list. Each call walks through those of many. */
type Listed = Structure & { list: [string, Shape][] }

const table = new Map<string, Listed>(
  Object.entries(structures satisfies StructureTable).map(([name, structure]) => [
    name,
    { ...structure, list: Object.entries(structure.members) }
  ])
)

/** The structure that another one, or an operation, names. */
export const structureNamed = (name: string): Listed => table.get(name)!
