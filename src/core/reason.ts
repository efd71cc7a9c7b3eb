/** Reasons of failures, folded so that those of one kind are one text. */
import { filterCharsMax } from './limits.ts'

const uuid = /(?<![\da-z])[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}(?![\da-z])/gi
/** Letters and digits with at least three digits: an id, a digest or a token. */
const id = /(?<![A-Za-z\d])(?=(?:[A-Za-z]*\d){3})(?=\d*[A-Za-z])[A-Za-z\d]{8,}(?![A-Za-z\d])/g
/** Also an address, a time or a number with separators. */
const number = /\d+(?:[.,:]\d+)*/g
/** An apostrophe within a word opens nothing. */
const singleQuoted = /(?<![\p{L}\d])'[^']*'(?![\p{L}\d])/gu

/** What stands in a folded reason for a number or an id, and within quotes. */
const folded = { number: '#', quoted: '…' }

/**
 * Folds numbers, ids, quoted parts and white space, so that `timeout after 31 ms` and
 * `timeout after 47 ms` are both `timeout after # ms`.
 */
export function foldReason(reason: string): string {
  return reason
    .replace(/"[^"]*"/g, `"${folded.quoted}"`)
    .replace(/`[^`]*`/g, `\`${folded.quoted}\``)
    .replace(/“[^“”]*”/g, `“${folded.quoted}”`)
    .replace(singleQuoted, `'${folded.quoted}'`)
    .replace(uuid, folded.number)
    .replace(id, folded.number)
    .replace(number, folded.number)
    .replace(/\s+/g, ' ')
    .trim()
}

/** A piece without white space, quotes and other signs at its ends. */
const withinSigns = /[\p{L}\p{N}](?:.*[\p{L}\p{N}])?/su
const separators = new RegExp(`[${Object.values(folded).join('')}]`)

/**
 * The longest piece of a folded reason that folding has not touched. A filter by `reason` finds it.
 * null: no piece has two letters side by side.
 */
export function pieceOf(foldedReason: string): string | null {
  const pieces = foldedReason.split(separators).map(piece => withinSigns.exec(piece)?.[0] ?? '')
  const longest = pieces.reduce((best, piece) => (piece.length > best.length ? piece : best), '')
  if (!/\p{L}{2}/u.test(longest)) return null
  return Array.from(longest).slice(0, filterCharsMax).join('').trim()
}
