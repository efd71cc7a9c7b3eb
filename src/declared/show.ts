/** A plan in lines for people. */
import type { Change } from './changes.ts'
import type { Step } from './plan.ts'

const valueCharsMax = 60

/** One step: `~ queue orders: maxAttempts 5 -> 10`. */
export function lineOf({ sign, kind, id, changes }: Step): string {
  const shown = changes.map(change => describe(change, sign === '+', kind.section === 'push'))
  return `${sign} ${kind.labelOf(id)}${shown.length === 0 ? '' : `: ${shown.join(', ')}`}`
}

/** Plans stand in logs. So what may be a secret of an endpoint is left out: fields, and the path of a URL. */
function describe({ name, member, before, after }: Change, isNew: boolean, isPush: boolean): string {
  if (isPush && name === 'headers') return isNew ? 'headers' : 'headers changed'
  const isUrl = isPush && name === 'url'
  const [old, now] = [before, after].map(value => (isUrl ? hostOf(value) : shown(value)))
  if (isNew) return `${name} ${now}`
  const label = member === undefined ? name : `${name}.${member}`
  return old === now ? `${label} changed` : `${label} ${old} -> ${now}`
}

const hostOf = (url: unknown) => URL.parse(String(url))?.origin ?? 'none'

function shown(value: unknown): string {
  if (value === undefined) return 'various'
  if (Array.isArray(value)) return shortened(value.join(' '))
  const isPlain = typeof value === 'string' && /^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(value)
  return shortened(isPlain ? value : JSON.stringify(value))
}

// No control character gets to a terminal: JSON escapes those of ASCII, and here are the others.
function shortened(text: string): string {
  const safe = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd')
  return safe.length <= valueCharsMax ? safe : `${safe.slice(0, valueCharsMax)}…`
}
