/** Tables of facts: a setting or an option is one row, and everything else is derived from it. */

interface Described {
  /** What it does, in sentences for people. */
  help: string
}

/** A number. `above` excludes the bound, `min` includes it. */
export interface NumberRow extends Described {
  type: 'number' | 'integer'
  min?: number
  above?: number
  max: number
  unit?: 'seconds'
}

export interface ChoiceRow extends Described {
  type: 'choice'
  choices: readonly string[]
}

export interface FlagRow extends Described {
  type: 'flag'
}

/** The name of a queue. */
export interface QueueRow extends Described {
  type: 'queue'
}

/** A time, RFC 3339. */
interface TimeRow extends Described {
  type: 'time'
}

/** Text of printable ASCII characters. */
interface TextRow extends Described {
  type: 'text'
  pattern: string
}

/** An object of texts by name. What a name and a text may be is bounded in characters. */
export interface TextsRow extends Described {
  type: 'texts'
  entriesMax: number
  nameCharsMax: number
  valueCharsMax: number
}

/** An object of numbers, given as a whole. */
export interface RecordRow extends Described {
  type: 'record'
  fields: Record<string, FieldRow>
}

/** A number of a record. An optional one may be left out. */
export type FieldRow = NumberRow & { optional?: true; label: string }

type RecordOf<M> = {
  -readonly [K in keyof M as M[K] extends { optional: true } ? never : K]: number
} & {
  -readonly [K in keyof M as M[K] extends { optional: true } ? K : never]?: number
}

export type Row = NumberRow | ChoiceRow | FlagRow | QueueRow | TimeRow | TextRow | TextsRow | RecordRow

/** The TypeScript type of what a row stands for. */
export type ValueOf<R extends Row> = R extends { type: 'choice'; choices: readonly (infer C)[] }
  ? C
  : R extends FlagRow
    ? boolean
    : R extends NumberRow
      ? number
      : R extends TextsRow
        ? Record<string, string>
        : R extends { type: 'record'; fields: infer M }
          ? RecordOf<M>
          : string

/** The bounds of a number, as documents and forms show them. */
export function boundsOf({ min, above, max }: NumberRow): string {
  const upper = max.toLocaleString('en')
  return above === undefined ? `${min!.toLocaleString('en')} to ${upper}` : `above ${above}, to ${upper}`
}

/** The keys of a table with their type, which Object.keys forgets. The table must have no others. */
export const keysOf = <K extends string>(table: Record<K, unknown>) => Object.keys(table) as K[]
