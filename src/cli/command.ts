/**
 * What a command is, and how its words are read: whatever nobody knows is refused, with the
 * nearest that somebody does.
 */
import { parseArgs } from 'node:util'
import { nearest, type Config } from '../config.ts'

/** Loads the service only when it runs, which takes most of a second. */
export interface Command {
  /** One line for the list of all commands. */
  summary: string
  /** What follows `holdfast NAME` and its flags. */
  words?: string
  /** What --help says above the flags. */
  about: string
  /** By name without the dashes. One with a `value` takes it; `many` may come more than once. */
  flags: Record<string, { help: string; value?: string; many?: true }>
  /** Answers the exit code where it is not 0. */
  run(call: Call): Promise<number | void>
}

export interface Call {
  words: string[]
  /** The values of a flag, none when it was not given. */
  flag(name: string): string[]
  /** Whether a flag without a value was given. */
  has(name: string): boolean
  /** The settings from the environment. */
  config(): Config
  say(line: string): void
}

/**
 * Exit codes of every command; `doctor` gives `failed` for what must be mended and `usage` also
 * where it could not look.
 */
export const exit = { ok: 0, failed: 1, usage: 2 } as const

/** The words or the settings are wrong: nothing has been done. */
export class UsageError extends Error {}

/** Reads a command's words; throws UsageError. */
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
    const flag = command.flags[token.name]
    const more = `holdfast ${name} --help shows them all.`
    if (flag === undefined) {
      throw new UsageError(
        'There is no flag ' +
          `${token.rawName}${offer(token.rawName.replace(/^-+/, ''), Object.keys(command.flags), '--')} ` +
          `${more}`
      )
    }
    if (flag.value !== undefined && token.value === undefined) {
      throw new UsageError(`${token.rawName} takes a value, ${flag.value}; ${more}`)
    }
    if (flag.value === undefined && token.value !== undefined) {
      throw new UsageError(`${token.rawName} takes no value; ${more}`)
    }
    if (given.has(token.name) && flag.many !== true) throw new UsageError(`${token.rawName} is given twice.`)
    given.set(token.name, [...(given.get(token.name) ?? []), token.value ?? ''])
  }
  if (words.length > 0 && command.words === undefined) {
    throw new UsageError(
      `holdfast ${name} takes no ${words[0]}; holdfast ${name} --help shows what it takes.`
    )
  }
  return { words, flag: flag => given.get(flag) ?? [], has: flag => given.has(flag) }
}

/** The end of a sentence about a word that nobody knows. */
export const offer = (word: string, known: string[], prefix = '') =>
  known.length > 0 ? `; did you mean ${prefix}${nearest(word, known)}?` : '.'

/** A flag's whole number within its bounds, or what it is when not given. */
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
  const left = Object.entries(flags).map(
    ([flag, { value }]) => `--${flag}${value === undefined ? '' : ` ${value}`}`
  )
  const width = Math.max(0, ...left.map(text => text.length))
  return `Usage: holdfast ${name}${words === undefined ? '' : ` ${words}`}${left.length > 0 ? ' [flags]' : ''}

${about.trim()}
${
  left.length > 0
    ? `\n${Object.values(flags)
        .map(({ help }, i) => `  ${left[i]!.padEnd(width)}  ${help}`)
        .join('\n')}\n`
    : ''
}`
}

/** Rows in columns, the first row being their names. */
export function table(rows: string[][]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map(row => row[column]!.length)))
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd()
  )
}
