/** tables.js, which the service makes from the tables in src/core. See ../assets.ts. */

/** One setting of a queue. `path` leads to its value in the settings. */
export interface SettingRow {
  path: string[]
  type: 'number' | 'integer' | 'choice' | 'flag'
  choices?: string[]
  default: number | string | boolean | null
  unit?: string
  label: string
  help: string
}

export const settings: SettingRow[]

/** The states of a message, in the order in which the pages show them. */
export const states: string[]

/** Ids in one request, and rows on one page of a list. */
export const limits: { listMax: number; pageRowsMax: number }
