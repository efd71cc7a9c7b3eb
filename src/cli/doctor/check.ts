/** One check of holdfast doctor, and how its text is written. */
import type { Config } from '../../config.ts'
import type { Facts } from '../../databaseTasks.ts'

export interface Check {
  name: string
  status: 'ok' | 'warning' | 'bad'
  /** What was measured. */
  value: string
  /** What to do about it; every check but an ok one has some. */
  advice?: string
}

/** What a service holds of one bound, and the caller that holds most. */
export interface HeldBound {
  bound: string
  total: number
  held: number
  refused: number
  most: { caller: string; held: number } | null
}

/** What the doctor knows beside the database and the settings. */
export interface Surroundings {
  /** Services that will share the database; 0 for those that run now. */
  replicas: number
  /** The limit of open files; null when the system does not tell. */
  filesMax: number | null
  /** What the service at our address holds; null when none tells. */
  heldBounds: HeldBound[] | null
}

/** Judges one subject. Pure, so that every judgement can be tested. */
export type Judge = (facts: Facts, config: Config, surroundings: Surroundings) => Check | Check[] | undefined

/** A check that asks for nothing. */
export const ok = (name: string, value: string): Check => ({ name, status: 'ok', value })

/** A check of what may go wrong. `advice` says what to do. */
export const warning = (name: string, value: string, advice: string): Check => ({
  name,
  status: 'warning',
  value,
  advice
})

/** A check of what is wrong now, or loses messages. `advice` says what to do. */
export const bad = (name: string, value: string, advice: string): Check => ({
  name,
  status: 'bad',
  value,
  advice
})

export const minute = 60
export const hour = 60 * minute
const day = 24 * hour

/** A time in its largest unit: `3 h`. */
export function duration(seconds: number): string {
  if (seconds < 2 * minute) return `${Math.round(seconds)} s`
  if (seconds < 2 * hour) return `${Math.round(seconds / minute)} min`
  if (seconds < 2 * day) return `${Math.round(seconds / hour)} h`
  return `${Math.round(seconds / day)} days`
}

const byteUnits = ['B', 'KiB', 'MiB', 'GiB', 'TiB']

/** A number of bytes in its largest unit: `1.5 GiB`. */
export function size(bytes: number): string {
  const power = Math.min(4, Math.max(0, Math.floor(Math.log2(bytes || 1) / 10)))
  return `${(bytes / 1024 ** power).toFixed(power === 0 ? 0 : 1)} ${byteUnits[power]}`
}

/** A number with its noun: 1 key, 2 keys. */
export const count = (number: number, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`

/** A name as SQL writes it, in quotes where it needs them. */
export const sqlName = (name: string) =>
  /^[a-z_][a-z0-9_]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`

/** A text as SQL writes it. */
export const sqlText = (text: string) => `'${text.replaceAll("'", "''")}'`
