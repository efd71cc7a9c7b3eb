/** What the table of operations is made of. */

export type Scalar = 'string' | 'integer' | 'boolean' | 'blob'
/** The name of a structure. */
type Name = string

export type Shape = Scalar | Name | ListShape | MapShape
/** In forms and in XML, each item has this name. */
export interface ListShape {
  list: Scalar | Name
  name: string
}
/** In forms and in XML, each entry has this name, and holds a key and a value. */
export interface MapShape {
  map: Scalar | Name
  name: string
  key: string
  value: string
}

export interface Structure {
  required: readonly string[]
  members: Readonly<Record<string, Shape>>
}

export type StructureTable = Record<Name, Structure>
/** `output` null: the operation answers nothing. */
export type OperationTable = Record<string, { input: Name; output: Name | null }>
/** `legacy` is the code in the query protocol. */
export type ErrorTable = Record<string, { legacy: string; status: number }>

export const isScalar = (shape: Shape): shape is Scalar =>
  shape === 'string' || shape === 'integer' || shape === 'boolean' || shape === 'blob'
