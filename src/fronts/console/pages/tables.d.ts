/** tables.js, which the service makes from the tables in src/core. See ../assets.ts. */

/** One setting of a queue. `path` leads to its value in the settings. */
export interface SettingRow {
  path: string[]
  type: 'number' | 'integer' | 'choice' | 'flag' | 'queue' | 'texts' | 'record'
  fields?: Record<string, { label: string; optional?: true }>
  choices?: string[]
  default: number | string | boolean | Record<string, string> | null
  nullable?: true
  unit?: string
  label: string
  help: string
}

export const settings: SettingRow[]

/** One option of a message. `bounds` are those of a number, for people to read. */
export interface OptionRow {
  name: string
  type: 'number' | 'integer' | 'text' | 'choice'
  choices?: string[]
  unit?: string
  bounds?: string
  label: string
  help: string
}

/** The options that a form offers, by name. */
export const options: Record<string, OptionRow>

/** The members of the option `unique`, of which the key comes first. */
export const uniqueMembers: OptionRow[]

/** What a push has where nothing else is said. */
export const pushDefaults: { maxConcurrent: number; timeoutSeconds: number; headers: Record<string, string> }

/** The states of a message, in the order in which the pages show them. */
export const states: string[]

/** Those of messages that are not done yet. */
export const openStates: string[]

/** Bounds, by their names in src/core/limits.ts. */
export const limits: Record<
  'consoleRowsDefault' | 'listMax' | 'messageBytesMax' | 'nameCharsMax' | 'nextRunsMax' | 'pageRowsMax',
  number
>
