/**
 * The settings of a queue, one row each. From here come the types, the request and answer schemas,
 * the SQL that reads and writes them, the console's form and the table in docs/rest.md. A new
 * setting is a row here, a migration for its column, and the code that acts on it.
 */
import {
  dedupSecondsMax,
  delaySecondsMax,
  keepAckedSecondsMax,
  leaseSecondsMax,
  maxAttemptsMax,
  maxDepthMax,
  maxLeasedMax,
  messageBytesMax,
  rateMessagesMax,
  ratePerSecondsMax,
  ratePerSecondsMin,
  retentionSecondsMax,
  tagNameCharsMax,
  tagsMax,
  tagValueCharsMax,
  ttlSecondsMax,
  waitSecondsMax
} from './limits.ts'
import type { ChoiceRow, FlagRow, NumberRow, QueueRow, RecordRow, TextsRow, ValueOf } from './table.ts'

export type SettingRow = (NumberRow | ChoiceRow | FlagRow | QueueRow | TextsRow | RecordRow) & {
  /** Its column in holdfast.queues. */
  column: string
  /** null: no bound or no queue, and then the setting may be null. */
  default: number | string | boolean | Record<string, never> | null
  /** The setting may be null although its default is not. */
  nullable?: true
  /** Its name on a form. */
  label: string
}

/** A rate: messages per time. */
const rateFields = {
  messages: {
    type: 'integer',
    min: 1,
    max: rateMessagesMax,
    label: 'messages',
    help: 'Messages per period.'
  },
  perSeconds: {
    type: 'number',
    min: ratePerSecondsMin,
    max: ratePerSecondsMax,
    unit: 'seconds',
    label: 'per seconds',
    help: 'The length of the period.'
  },
  burst: {
    type: 'integer',
    min: 1,
    max: rateMessagesMax,
    optional: true,
    label: 'burst',
    help: 'How many messages may be leased at once after a pause. Default: as many as messages.'
  }
} as const

/** Settings that are given together, as one object. */
export interface SettingGroup {
  members: Record<string, SettingRow>
}

export const settings = {
  leaseSeconds: {
    column: 'lease_seconds',
    type: 'number',
    above: 0,
    max: leaseSecondsMax,
    default: 30,
    unit: 'seconds',
    label: 'Lease',
    help: 'How long a lease lasts when the call does not say. The workers of the clients always say it.'
  },
  maxAttempts: {
    column: 'max_attempts',
    type: 'integer',
    min: 1,
    max: maxAttemptsMax,
    default: 5,
    nullable: true,
    label: 'Attempts',
    help: 'A message is dead after this many failed attempts. null: it is tried without end.'
  },
  retry: {
    members: {
      strategy: {
        column: 'retry_strategy',
        type: 'choice',
        choices: ['exponential', 'linear', 'fixed'],
        default: 'exponential',
        label: 'Retry delay',
        help:
          'How the retry delay grows with each attempt: it doubles (exponential), ' +
          'grows by the same amount (linear), or stays (fixed).'
      },
      delaySeconds: {
        column: 'retry_delay_seconds',
        type: 'number',
        min: 0,
        max: delaySecondsMax,
        default: 1,
        unit: 'seconds',
        label: 'First delay',
        help: 'The delay after the first failed attempt.'
      },
      maxDelaySeconds: {
        column: 'retry_max_delay_seconds',
        type: 'number',
        min: 0,
        max: delaySecondsMax,
        default: 3600,
        unit: 'seconds',
        label: 'Longest delay',
        help: 'The longest retry delay, the random time included.'
      },
      jitter: {
        column: 'retry_jitter',
        type: 'flag',
        default: true,
        label: 'Add a random delay',
        help:
          'Adds a random time to each retry delay, up to its length. ' +
          'So messages that failed together do not come back together.'
      }
    }
  },
  delaySeconds: {
    column: 'delay_seconds',
    type: 'number',
    min: 0,
    max: delaySecondsMax,
    default: 0,
    unit: 'seconds',
    label: 'Delay',
    help: 'The delay of a message that is enqueued without delaySeconds and visibleAt.'
  },
  ttlSeconds: {
    column: 'ttl_seconds',
    type: 'number',
    above: 0,
    max: ttlSecondsMax,
    default: null,
    unit: 'seconds',
    label: 'Time to live',
    help:
      'The time to live of a message that is enqueued without ttlSeconds. ' +
      'null: only retentionSeconds counts.'
  },
  waitSeconds: {
    column: 'wait_seconds',
    type: 'number',
    min: 0,
    max: waitSecondsMax,
    default: 0,
    unit: 'seconds',
    label: 'Wait',
    help: 'How long a lease waits for the first message when the call does not say.'
  },
  retentionSeconds: {
    column: 'retention_seconds',
    type: 'number',
    min: 1,
    max: retentionSecondsMax,
    default: 1_209_600,
    unit: 'seconds',
    label: 'Keep messages',
    help:
      'How long a message is kept after its enqueue, in any state but acked. ' +
      'A lease under way is finished first.'
  },
  dedupSeconds: {
    column: 'dedup_seconds',
    type: 'number',
    min: 0,
    max: dedupSecondsMax,
    default: 86_400,
    unit: 'seconds',
    label: 'Keep idempotency keys',
    help: 'How long an idempotency key stands for its message.'
  },
  maxDepth: {
    column: 'max_depth',
    type: 'integer',
    min: 1,
    max: maxDepthMax,
    default: null,
    label: 'Maximum depth',
    help:
      'The queue takes at most this many ready, delayed and leased messages. ' +
      'Messages stored at the same moment can pass the bound. null: no bound.'
  },
  messageBytesMax: {
    column: 'message_bytes_max',
    type: 'integer',
    min: 1,
    max: messageBytesMax,
    default: messageBytesMax,
    label: 'Largest body, in bytes',
    help: 'The queue takes no message with a larger body.'
  },
  paused: {
    column: 'paused',
    type: 'flag',
    default: false,
    label: 'Paused',
    help: 'While true, leases give nothing and enqueues go on.'
  },
  ordering: {
    column: 'ordering',
    type: 'choice',
    choices: ['none', 'group', 'queue'],
    default: 'none',
    label: 'Order',
    help:
      'group: the messages of a group are leased one after another, in the order of their enqueues. ' +
      'queue: all messages of the queue are. Can change only while the queue holds no message.'
  },
  fairness: {
    column: 'fairness',
    type: 'choice',
    choices: ['none', 'group'],
    default: 'none',
    label: 'Fairness',
    help:
      'group: groups take turns, so a flood of one group delays no other. Priorities count within a group. ' +
      'Not allowed with the ordering queue. A message keeps the fairness that it was enqueued with.'
  },
  maxLeased: {
    column: 'max_leased',
    type: 'integer',
    min: 1,
    max: maxLeasedMax,
    default: null,
    label: 'Leased at once',
    help: 'At most this many messages are leased at one time, over all replicas. null: no bound.'
  },
  maxLeasedPerGroup: {
    column: 'max_leased_per_group',
    type: 'integer',
    min: 1,
    max: maxLeasedMax,
    default: null,
    label: 'Leased at once per group',
    help:
      'At most this many messages of a group are leased at one time, over all replicas. ' +
      'Without an order, groups then take turns. null: no bound.'
  },
  rate: {
    column: 'rate',
    type: 'record',
    fields: rateFields,
    default: null,
    label: 'Rate',
    help:
      'At most this many messages are leased in a period, over all replicas: ' +
      'in t seconds never more than burst + messages × t / perSeconds. ' +
      'Without burst, it equals messages. null: no bound.'
  },
  ratePerGroup: {
    column: 'rate_per_group',
    type: 'record',
    fields: rateFields,
    default: null,
    label: 'Rate per group',
    help:
      'At most this many messages of each group are leased in a period, by the same formula as rate. ' +
      'Without an order, groups then take turns. null: no bound.'
  },
  keepAckedSeconds: {
    column: 'keep_acked_seconds',
    type: 'number',
    min: 0,
    max: keepAckedSecondsMax,
    default: 0,
    unit: 'seconds',
    label: 'Keep acked messages',
    help: 'How long an acked message can still be read. 0: the ack removes it.'
  },
  deadLetterQueue: {
    column: 'dead_letter_queue',
    type: 'queue',
    default: null,
    label: 'Dead-letter queue',
    help: 'The queue to which a message moves when it dies, in the same commit. null: it stays here.'
  },
  tags: {
    column: 'tags',
    type: 'texts',
    entriesMax: tagsMax,
    nameCharsMax: tagNameCharsMax,
    valueCharsMax: tagValueCharsMax,
    default: {},
    label: 'Tags',
    help: 'Notes for people, by name. A change replaces all of them.'
  }
} as const satisfies Record<string, SettingRow | SettingGroup>

type Value<R extends SettingRow> = R extends { default: null } | { nullable: true }
  ? ValueOf<R> | null
  : ValueOf<R>
type Values<T> = {
  -readonly [K in keyof T]: T[K] extends { members: infer M }
    ? Values<M>
    : T[K] extends SettingRow
      ? Value<T[K]>
      : never
}

/** What a queue is set to. */
export type Settings = Values<typeof settings>
/** The settings that the service acts on. Tags can be large, and only people read them. */
export type ActiveSettings = Omit<Settings, 'tags'>
export type Retry = Settings['retry']

type Change<T> = { [K in keyof T]?: T[K] extends object ? Partial<T[K]> : T[K] }

/** Settings to change: what is left out stays as it is. */
export type SettingsChange = Change<Settings>

/** Every setting by its path: `['leaseSeconds']`, `['retry', 'delaySeconds']`. */
export const settingPaths: (SettingRow & { path: string[] })[] = Object.entries(settings).flatMap(
  ([name, row]: [string, SettingRow | SettingGroup]) =>
    'members' in row
      ? Object.entries(row.members).map(([member, row]) => ({ ...row, path: [name, member] }))
      : [{ ...row, path: [name] }]
)

/** Whether null is a value of the setting. */
export const mayBeNull = (row: SettingRow): boolean => row.default === null || row.nullable === true

/** The default as documents show it: `30`, `86400 (1 day)`, `null`. */
export function defaultText({ default: value, ...row }: SettingRow): string {
  const seconds = row.type === 'number' && typeof value === 'number' ? value : 0
  const days = seconds / 86_400
  if (days < 1) return typeof value === 'object' ? JSON.stringify(value) : String(value)
  return `${value} (${days} ${days === 1 ? 'day' : 'days'})`
}
