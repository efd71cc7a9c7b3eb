/** Every setting once: name, unit, default, bounds, help. The only file that reads the environment. */
import { isIP } from 'node:net'

interface Setting<T> {
  name: string
  help: string
  default: T
  read: (text: string) => T | string
}

const text = (text: string) => text
// A reader answers the value, or a sentence that says what the value must be; sentences begin with "must".
const whole = (min: number, max: number) => (text: string) =>
  /^\d{1,15}$/.test(text) && Number(text) >= min && Number(text) <= max
    ? Number(text)
    : `must be a whole number from ${min} to ${max}`
const oneOf =
  (...values: string[]) =>
  (text: string) =>
    values.includes(text) ? text : `must be one of ${values.join(', ')}`
const listOf =
  (...values: string[]) =>
  (text: string) =>
    text.split(',').every(part => values.includes(part.trim()))
      ? text
      : `must be a list of ${values.join(', ')}, with commas`
const onOff = (text: string) => (text === 'on' ? true : text === 'off' ? false : 'must be on or off')
const url = (text: string) =>
  /^postgres(ql)?:\/\//.test(text) ? text : 'must be a URL that begins with postgresql://'

export const settings = {
  databaseUrl: {
    name: 'HOLDFAST_DATABASE_URL',
    default: '',
    read: url,
    help:
      'The PostgreSQL database to use (15 or later), as ' +
      'postgresql://user:password@host/database. Not set: an embedded PostgreSQL under ' +
      'HOLDFAST_DATA_DIR.'
  },
  listenUrl: {
    name: 'HOLDFAST_LISTEN_URL',
    default: '',
    read: url,
    help:
      'Where to LISTEN, for those whose HOLDFAST_DATABASE_URL leads through PgBouncer: a direct ' +
      'URL of the same database. Not set: the same as HOLDFAST_DATABASE_URL.'
  },
  host: { name: 'HOLDFAST_HOST', default: '127.0.0.1', read: text, help: 'The address to serve on.' },
  port: {
    name: 'HOLDFAST_PORT',
    default: 8080,
    read: whole(0, 65535),
    help: 'The port to serve on; 0 takes a free one.'
  },
  auth: {
    name: 'HOLDFAST_AUTH',
    default: 'keys',
    read: oneOf('keys', 'off'),
    help:
      'keys: every call needs an API key, once there is one; without any the service serves on ' +
      'loopback addresses only. off: nobody is asked for a key, on whatever address.'
  },
  adminKeyFile: {
    name: 'HOLDFAST_ADMIN_KEY_FILE',
    default: '',
    read: text,
    help:
      'A file that holds an admin key of 32 characters or more, stored nowhere else; with it ' +
      'keys are in force from the start.'
  },
  open: {
    name: 'HOLDFAST_OPEN',
    default: '',
    read: listOf('docs', 'metrics'),
    help:
      'What needs no key where keys are in force: docs (Swagger UI and the OpenAPI document), ' +
      'metrics, or both as docs,metrics.'
  },
  dataDir: {
    name: 'HOLDFAST_DATA_DIR',
    default: 'data',
    read: text,
    help: 'The folder of the embedded PostgreSQL, from the folder of the project.'
  },
  poolSize: {
    name: 'HOLDFAST_POOL_SIZE',
    default: 10,
    read: whole(2, 1000),
    help: 'Connections to the database, besides one that listens. Group commit needs few.'
  },
  createQueues: {
    name: 'HOLDFAST_CREATE_QUEUES',
    default: true,
    read: onOff,
    help: 'on: the first enqueue makes an unknown queue; off: it is refused with queueNotFound.'
  },
  requestBytesMax: {
    name: 'HOLDFAST_REQUEST_BYTES_MAX',
    default: 8_388_608,
    read: whole(1024, 268_435_456),
    help: 'Bytes of the largest request taken.'
  },
  waitingBytesMax: {
    name: 'HOLDFAST_WAITING_BYTES_MAX',
    default: 67_108_864,
    read: whole(1_048_576, 4_294_967_296),
    help: 'Bytes of messages that may wait for the database before enqueues are refused with overloaded.'
  },
  waitersMax: {
    name: 'HOLDFAST_WAITERS_MAX',
    default: 20_000,
    read: whole(1, 1_000_000),
    help: 'Calls that may wait for messages at once before further ones are refused with tooManyWaiting.'
  },
  connectionsMax: {
    name: 'HOLDFAST_CONNECTIONS_MAX',
    default: 25_000,
    read: whole(1, 1_000_000),
    help:
      'Connections of callers at once; further ones are closed unanswered. The limit of open ' +
      'files must be higher.'
  },
  requestSecondsMax: {
    name: 'HOLDFAST_REQUEST_SECONDS_MAX',
    default: 30,
    read: whole(1, 3600),
    help:
      'Seconds in which a request must arrive whole, its header fields in half of them, or it is ' +
      'refused with requestTimeout.'
  },
  silentSecondsMax: {
    name: 'HOLDFAST_SILENT_SECONDS_MAX',
    default: 90,
    read: whole(1, 3600),
    help:
      'Seconds without a byte either way after which a connection with an unfinished request is ' +
      'cut. Longer than any waitSeconds.'
  },
  logLevel: {
    name: 'HOLDFAST_LOG_LEVEL',
    default: 'warn',
    read: oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent'),
    help: 'What is logged: trace, debug, info (one line for each request), warn, error or silent.'
  }
} satisfies Record<string, Setting<any>>

export type Config = {
  [K in keyof typeof settings]: (typeof settings)[K]['default'] extends infer T
    ? T extends boolean
      ? boolean
      : T
    : never
}

/** Reads all settings; throws one error that names every fault, an unknown HOLDFAST_ name among them. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const faults: string[] = []
  const known = new Map(Object.entries(settings).map(([key, setting]) => [setting.name, key]))
  const config: Record<string, unknown> = Object.fromEntries(
    Object.entries(settings).map(([key, setting]) => [key, setting.default])
  )
  for (const [name, value] of Object.entries(env)) {
    if (
      !name.startsWith('HOLDFAST_') ||
      name.startsWith('HOLDFAST_TEST_') ||
      value === undefined ||
      value === ''
    ) {
      continue
    }
    const key = known.get(name)
    if (key === undefined) {
      faults.push(`${name} is not a setting; did you mean ${nearest(name, [...known.keys()])}?`)
      continue
    }
    const read = settings[key as keyof typeof settings].read(value)
    if (typeof read === 'string' && read.startsWith('must ') && read !== value) {
      faults.push(`${name} ${read}.`)
    } else config[key] = read
  }
  if (faults.length > 0) throw new Error(faults.join('\n'))
  return config as Config
}

/** The one of the names that looks most like it. */
export function nearest(name: string, names: string[]): string {
  const pairs = (text: string) => new Set([...text].map((_, i) => text.slice(i, i + 2)))
  const score = (other: string) =>
    [...pairs(name)].filter(pair => pairs(other).has(pair)).length / (name.length + other.length)
  return names.reduce((best, other) => (score(other) > score(best) ? other : best))
}

/** Whether an address to serve on can be reached from this machine only. */
export const isLoopback = (host: string) =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))
