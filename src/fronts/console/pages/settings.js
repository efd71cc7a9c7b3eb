/** The settings of a queue: what each is called, and how it is entered. */

/**
 * One setting. A form needs no more of it; a group has rows instead of a type.
 * @typedef {object} SettingRow
 * @property {string} name
 * @property {'number' | 'integer' | 'boolean' | 'enum'} [type]
 * @property {string[]} [values] of an enum
 * @property {string} [unit]
 * @property {string} label
 * @property {string} help
 * @property {any} [default]
 * @property {SettingRow[]} [rows] of a group
 */

/** @type {SettingRow[]} */
const settings = [
  {
    name: 'leaseSeconds',
    type: 'number',
    unit: 'seconds',
    label: 'Lease',
    help: 'How long a worker has a message when it does not say.',
    default: 30
  },
  {
    name: 'maxAttempts',
    type: 'integer',
    label: 'Attempts',
    help: 'After so many that ended badly a message is dead.',
    default: 5
  },
  {
    name: 'retry',
    label: 'Retries',
    help: '',
    rows: [
      {
        name: 'strategy',
        type: 'enum',
        values: ['exponential', 'linear', 'fixed'],
        label: 'Retries',
        help: 'How the delay grows.',
        default: 'exponential'
      },
      {
        name: 'jitter',
        type: 'boolean',
        label: 'Spread at random, so that those that failed together do not come back together',
        help: '',
        default: true
      },
      {
        name: 'delaySeconds',
        type: 'number',
        unit: 'seconds',
        label: 'Retry after',
        help: 'After the first failed attempt.',
        default: 1
      },
      {
        name: 'maxDelaySeconds',
        type: 'number',
        unit: 'seconds',
        label: 'At most',
        help: 'No delay is longer.',
        default: 3600
      }
    ]
  },
  {
    name: 'retentionSeconds',
    type: 'number',
    unit: 'seconds',
    label: 'Kept for',
    help: 'In any state, from its enqueue.',
    default: 1_209_600
  },
  {
    name: 'keepAckedSeconds',
    type: 'number',
    unit: 'seconds',
    label: 'Acked ones kept for',
    help: '0: removed with the ack.',
    default: 0
  },
  {
    name: 'dedupSeconds',
    type: 'number',
    unit: 'seconds',
    label: 'Idempotency keys hold for',
    help: '',
    default: 86_400
  },
  {
    name: 'maxDepth',
    type: 'integer',
    label: 'Depth at most',
    help: 'Empty: no bound.',
    default: null
  },
  { name: 'paused', type: 'boolean', label: 'Paused', help: '', default: false }
]

/** A setting as the form has it. @typedef {SettingRow & { path: string[] }} FormRow */

/**
 * The rows of the form, a group's among the others. The page has a button of its own for `paused`.
 * @type {FormRow[]}
 */
export const formRows = settings
  .filter(({ name }) => name !== 'paused')
  .flatMap(row =>
    row.rows === undefined
      ? [{ ...row, path: [row.name] }]
      : row.rows.map(inner => ({ ...inner, path: [row.name, inner.name] }))
  )
