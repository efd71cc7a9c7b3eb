/** The settings of a queue: what each is called, and how the form asks for it. */

/**
 * One setting. A group has rows of its own instead of a type.
 * @typedef {object} SettingRow
 * @property {string} name
 * @property {'number' | 'integer' | 'boolean' | 'enum'} [type]
 * @property {string[]} [values] of an enum
 * @property {any} [default]
 * @property {string} [unit]
 * @property {string} label
 * @property {string} help
 * @property {SettingRow[]} [rows]
 */

/** @type {SettingRow[]} */
const retryRows = [
  {
    name: 'strategy',
    type: 'enum',
    values: ['exponential', 'linear', 'fixed'],
    default: 'exponential',
    label: 'Retry delay',
    help: 'How the delay grows after each failed attempt.'
  },
  {
    name: 'jitter',
    type: 'boolean',
    default: true,
    label: 'Add a random delay',
    help: 'Up to as much again, so that messages that failed together do not come back together.'
  },
  {
    name: 'delaySeconds',
    type: 'number',
    default: 1,
    unit: 'seconds',
    label: 'First delay',
    help: 'The delay after the first failed attempt.'
  },
  {
    name: 'maxDelaySeconds',
    type: 'number',
    default: 3600,
    unit: 'seconds',
    label: 'Longest delay',
    help: 'No delay is longer than this.'
  }
]

/** @type {SettingRow[]} */
const settings = [
  {
    name: 'leaseSeconds',
    type: 'number',
    default: 30,
    unit: 'seconds',
    label: 'Lease',
    help: 'How long a lease lasts when the worker does not say.'
  },
  {
    name: 'maxAttempts',
    type: 'integer',
    default: 5,
    label: 'Attempts',
    help: 'After this many failed or expired attempts a message is dead.'
  },
  { name: 'retry', label: 'Retries', help: 'When a failed message is tried again.', rows: retryRows },
  {
    name: 'retentionSeconds',
    type: 'number',
    default: 1_209_600,
    unit: 'seconds',
    label: 'Keep messages',
    help: 'How long after its enqueue a message is kept, in any state.'
  },
  {
    name: 'keepAckedSeconds',
    type: 'number',
    default: 0,
    unit: 'seconds',
    label: 'Keep acked messages',
    help: 'How long an acked message is kept. 0: it is removed with the ack.'
  },
  {
    name: 'dedupSeconds',
    type: 'number',
    default: 86_400,
    unit: 'seconds',
    label: 'Keep idempotency keys',
    help: 'How long an idempotency key stands for its message.'
  },
  {
    name: 'maxDepth',
    type: 'integer',
    default: null,
    label: 'Maximum depth',
    help: 'At most this many ready, delayed and leased messages. Empty: no limit.'
  },
  {
    name: 'paused',
    type: 'boolean',
    default: false,
    label: 'Paused',
    help: 'A paused queue gives out no messages.'
  }
]

/**
 * A row of the form. `path` leads to its value in the settings.
 * @typedef {SettingRow & { path: string[] }} FormRow
 */

/**
 * The rows of the form, with those of a group among the others. `paused` has a button of its own on
 * the page of the queue.
 * @type {FormRow[]}
 */
export const formRows = settings
  .filter(({ name }) => name !== 'paused')
  .flatMap(row =>
    row.rows === undefined
      ? [{ ...row, path: [row.name] }]
      : row.rows.map(inner => ({ ...inner, path: [row.name, inner.name] }))
  )
