/**
 * What a command is, and how its words are read. An unknown word is refused, with the known word
 * that looks most like it.
 */
import { parseArgs } from 'node:util'
import type { Config } from '../config.ts'
import { nearest } from '../core/nearest.ts'

/** A command imports the service only when it runs, because that takes most of a second. */
export interface Command {
  /** One line for the list of all commands. */
  summary: string
  /** What follows `holdfast NAME`, before the flags. */
  words?: string
  /** What --help says above the flags. */
  about: string
  /**
   * By name, without the dashes. A flag with a `value` takes one; with `many` it may be repeated.
   */
  flags: Record<string, { help: string; value?: string; many?: true }>
  /** Answers the exit code where it is not 0. */
  run(call: Call): Promise<number | void>
}

export interface Call {
  words: string[]
  /** The values of a flag; empty when it was not given. */
  flag(name: string): string[]
  /** Whether a flag was given. */
  has(name: string): boolean
  /** The settings from the environment. Throws UsageError. */
  config(): Config
  /** An environment variable that is no setting, where a file names it. */
  variable(name: string): string | undefined
  say(line: string): void
}

/**
 * Exit codes of every command. `doctor` ends with `failed` when something is bad, and with `usage`
 * also when it could not check.
 */
export const exit = { ok: 0, failed: 1, usage: 2 } as const

/** The words or the settings are wrong. Nothing has been done. */
export class UsageError extends Error {}

/** Reads a command's words. Throws UsageError. */
export function readCall(
  name: string,
  command: Command,
  args: string[]
): Pick<Call, 'words' | 'flag' | 'has'> {
  const options = Object.fromEntries(
    Object.entries(command.flags).map(([flag, { value }]) => [
      flag,
      { type: value === undefined ? ('boolean' as const) : ('string' as const), multiple: true }
    ])
  )
  const { tokens } = parseArgs({ args, options, allowPositionals: true, strict: false, tokens: true })
  const given = new Map<string, string[]>()
  const words: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value)
    if (token.kind !== 'option') continue
    const values = given.get(token.name) ?? []
    given.set(token.name, [...values, readFlag(name, command, token, values.length > 0)])
  }
  if (words.length > 0 && command.words === undefined) {
    throw new UsageError(`holdfast ${name} takes no ${words[0]}. See holdfast ${name} --help.`)
  }
  return { words, flag: flag => given.get(flag) ?? [], has: flag => given.has(flag) }
}

type Run<Words extends string[]> = (call: Call, ...words: Words) => Promise<number | void>

/** The verbs of a command: those that stand alone, and those with a word behind them, as `revoke ID`. */
interface Verbs {
  alone: Record<string, Run<[]>>
  withWord: Record<string, Run<[string]>>
}

/** Runs the verb that the words name. Throws UsageError with the sentence where they fit none. */
export async function runVerb(
  call: Call,
  { alone, withWord }: Verbs,
  sentence: string
): Promise<number | void> {
  const [verb = '', word, ...others] = call.words
  if (word === undefined && Object.hasOwn(alone, verb)) return await alone[verb]!(call)
  if (word !== undefined && others.length === 0 && Object.hasOwn(withWord, verb)) {
    return await withWord[verb]!(call, word)
  }
  throw new UsageError(sentence)
}

/** The flag's value, or '' for a flag without one. */
function readFlag(
  name: string,
  { flags }: Command,
  { name: flagName, rawName, value }: { name: string; rawName: string; value: string | undefined },
  repeated: boolean
): string {
  const flag = flags[flagName]
  const help = `See holdfast ${name} --help.`
  if (flag === undefined) {
    const suggestion = suggest(rawName.replace(/^-+/, ''), Object.keys(flags), '--')
    throw new UsageError(`There is no flag ${rawName}${suggestion} ${help}`)
  }
  if (flag.value !== undefined && value === undefined) {
    throw new UsageError(`${rawName} takes a value, ${flag.value}. ${help}`)
  }
  if (flag.value === undefined && value !== undefined) {
    throw new UsageError(`${rawName} takes no value. ${help}`)
  }
  if (repeated && flag.many !== true) throw new UsageError(`${rawName} is given twice. Give it once.`)
  return value ?? ''
}

/** The end of a sentence about an unknown word. */
export function suggest(word: string, known: string[], prefix = ''): string {
  const suggestion = nearest(word, known)
  return suggestion === null ? '.' : `; did you mean ${prefix}${suggestion}?`
}

/** A flag's whole number, or `otherwise` when the flag is not given. Throws UsageError. */
export function wholeNumber(
  call: Pick<Call, 'flag'>,
  flag: string,
  { min, max, otherwise }: { min: number; max: number; otherwise: number }
): number {
  const [text] = call.flag(flag)
  if (text === undefined) return otherwise
  if (!/^\d{1,9}$/.test(text) || Number(text) < min || Number(text) > max) {
    throw new UsageError(`--${flag} must be a whole number from ${min} to ${max}.`)
  }
  return Number(text)
}

/** What --help prints. */
export function usage(name: string, { words, about, flags }: Command): string {
  const rows = Object.entries(flags).map(([flag, { value, help }]) => ({
    flag: `--${flag}${value === undefined ? '' : ` ${value}`}`,
    help
  }))
  const width = Math.max(0, ...rows.map(({ flag }) => flag.length))
  const line = [
    'holdfast',
    name,
    ...(words === undefined ? [] : [words]),
    ...(rows.length > 0 ? ['[flags]'] : [])
  ]
  return [
    `Usage: ${line.join(' ')}`,
    '',
    about.replace(/^\n/, '').trimEnd(),
    '',
    ...rows.map(({ flag, help }) => `  ${flag.padEnd(width)}  ${help}`)
  ].join('\n')
}

/** Rows in columns. The first row names them. */
export function table(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd()
  )
}
