/**
 * The options of a message, one row each. From here come the types, the schemas of JSON and raw
 * enqueues, the console's form and the table in docs/rest.md. The function `holdfast.enqueue` in
 * migrations/api.sql repeats the bounds, and a test compares them. A new option is a row here, a
 * migration for its column, and the code that acts on it.
 */
import {
  delaySecondsMax,
  groupCharsMax,
  idempotencyKeyCharsMax,
  maxAttemptsMax,
  priorityMax,
  ttlSecondsMax,
  uniqueKeyCharsMax
} from './limits.ts'
import type { Row, ValueOf } from './table.ts'

export type OptionRow = Row & {
  /** Its name on a form. The console's form leaves out an option without one. */
  label?: string
}

export const priorityDefault = 4

/** Printable ASCII characters. */
export const idempotencyKeyPattern = `^[ -~]{1,${idempotencyKeyCharsMax}}$`

/** Compared exactly. Half of a surrogate pair is no character. */
export const groupPattern = `^[^\\p{Cc}\\p{Cs}]{1,${groupCharsMax}}$`

export const options = {
  priority: {
    type: 'integer',
    min: 0,
    max: priorityMax,
    label: 'Priority',
    help: `Messages with a higher priority are leased first. Default ${priorityDefault}.`
  },
  delaySeconds: {
    type: 'number',
    min: 0,
    max: delaySecondsMax,
    unit: 'seconds',
    label: 'Delay',
    help: 'The message is not leased before this delay is over.'
  },
  visibleAt: {
    type: 'time',
    help: 'The message is not leased before this time, at most a year ahead. Not together with delaySeconds.'
  },
  ttlSeconds: {
    type: 'number',
    above: 0,
    max: ttlSecondsMax,
    unit: 'seconds',
    label: 'Time to live',
    help:
      'The message is removed this long after its enqueue. ' +
      'If a worker holds it then, the lease ends first.'
  },
  maxAttempts: {
    type: 'integer',
    min: 1,
    max: maxAttemptsMax,
    label: 'Attempts',
    help: 'The message is dead after this many failed attempts. Default: the maxAttempts of the queue.'
  },
  group: {
    type: 'text',
    pattern: groupPattern,
    label: 'Group',
    help:
      `The group of the message, for order and turns: 1 to ${groupCharsMax} characters, ` +
      'none of them a control character.'
  },
  idempotencyKey: {
    type: 'text',
    pattern: idempotencyKeyPattern,
    label: 'Idempotency key',
    help:
      'Makes the enqueue safe to repeat: within dedupSeconds, the same key with the same content is the ' +
      'same message. ' +
      `1 to ${idempotencyKeyCharsMax} printable ASCII characters.`
  }
} as const satisfies Record<string, OptionRow>

/** The members of the option `unique`. A raw enqueue has each as a query parameter. */
export const uniqueMembers = {
  key: {
    type: 'text',
    pattern: `^[ -~]{1,${uniqueKeyCharsMax}}$`,
    label: 'Unique key',
    help:
      'While an earlier message of the queue holds this key, nothing new is stored. ' +
      `1 to ${uniqueKeyCharsMax} printable ASCII characters.`
  },
  until: {
    type: 'choice',
    choices: ['settled', 'leased'],
    label: 'The key is held until it is',
    help:
      'How long the message holds the key. settled (the default): until it is acked, dead, cancelled, ' +
      'purged or expired. leased: until its first lease.'
  },
  onConflict: {
    type: 'choice',
    choices: ['keep', 'replace'],
    label: 'A message with this key',
    help:
      'What becomes of the message that holds the key. keep (the default): it stays as it is. ' +
      'replace: it gets the content and the options of this one, unless it is leased.'
  }
} as const satisfies Record<string, OptionRow>

type Members = { -readonly [K in keyof typeof uniqueMembers]: ValueOf<(typeof uniqueMembers)[K]> }

/** The option as an enqueue gives it. What is left out has its default. */
export type Unique = Pick<Members, 'key'> & {
  [K in Exclude<keyof Members, 'key'>]?: Members[K] | undefined
}

/** A key that a message holds, and until when. */
export type HeldKey = Pick<Members, 'key' | 'until'>

/** What an enqueue may say of a message beside its body, content type and headers. */
export type MessageOptions = {
  -readonly [K in keyof typeof options]?: ValueOf<(typeof options)[K]> | undefined
} & {
  unique?: Unique | undefined
}
