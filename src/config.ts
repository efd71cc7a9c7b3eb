/** Every setting once: name, default, bounds and help. The only file that reads the environment. */
import { isIP } from 'node:net'
import { availableParallelism } from 'node:os'
import { nearest } from './core/nearest.ts'
import { checkDatabaseUrl } from './store/setup/databaseUrl.ts'
import { postgresVersionMin } from './store/setup/version.ts'

/** For the command line, which loads the store only where it works with a database. */
export { postgresVersionMin, serverVersionNumMin } from './store/setup/version.ts'

/** Returns the value, or throws an Error that says what the value must be. `values` says it for tables. */
type Reader<T> = ((text: string) => T) & { values: string }

interface Setting<T> {
  name: string
  default: T
  read: Reader<T>
  /** One or more sentences, shown by `holdfast help` and in docs/configuration.md. */
  help: string
}

const takes = <T>(values: string, read: (text: string) => T): Reader<T> => Object.assign(read, { values })

const wholeNumber = (min: number, max: number) =>
  takes(`${min.toLocaleString('en')} to ${max.toLocaleString('en')}`, text => {
    if (!/^\d{1,15}$/.test(text) || Number(text) < min || Number(text) > max) {
      throw new Error(`must be a whole number from ${min} to ${max}`)
    }
    return Number(text)
  })

const oneOf = (...values: string[]) =>
  takes(inCode(values), text => {
    if (!values.includes(text)) throw new Error(`must be one of ${values.join(', ')}`)
    return text
  })

const inCode = (values: string[]) => values.map(value => `\`${value}\``).join(', ')

const listOf = (...values: string[]) =>
  takes(inCode(values), text => {
    const items = text.split(',').map(item => item.trim())
    if (!items.every(item => values.includes(item))) {
      throw new Error(`must be one or more of ${values.join(', ')}, separated by commas`)
    }
    return items
  })

/** Without a slash at its end. */
const serviceUrl = takes('http:// or https:// with a host', text => {
  if (!/^https?:\/\/[^/?#\s]+\/?$/.test(text)) throw new Error('must be http:// or https:// with a host')
  return text.replace(/\/$/, '')
})

const onOrOff = takes('`on`, `off`', text => {
  if (text !== 'on' && text !== 'off') throw new Error('must be on or off')
  return text === 'on'
})

const databaseUrl = takes('a URL of PostgreSQL', checkDatabaseUrl)
const anyText = (values: string) => takes(values, text => text)
const file = anyText('a path')

const processesMax = 64
/** With 6, a caller that searches leaves another one a connection for its own searches. */
const connectionsPerProcess = { min: 2, usual: 6 }

/** One row per setting, in the order in which `holdfast help` shows them. */
export const environment = {
  databaseUrl: {
    name: 'HOLDFAST_DATABASE_URL',
    default: '',
    read: databaseUrl,
    help:
      `The PostgreSQL database to use, version ${postgresVersionMin} or later: ` +
      'postgresql://user:password@host/database. Without it, Holdfast starts an embedded ' +
      'PostgreSQL under HOLDFAST_DATA_DIR. Its sslmode and sslrootcert mean what they mean to psql. ' +
      'It may list several hosts: connections go to the one that takes writes.'
  },
  listenUrl: {
    name: 'HOLDFAST_LISTEN_URL',
    default: '',
    read: databaseUrl,
    help:
      'A direct URL of the same database, used for LISTEN. Set it when HOLDFAST_DATABASE_URL leads ' +
      'through PgBouncer. Without it, HOLDFAST_DATABASE_URL is used.'
  },
  host: {
    name: 'HOLDFAST_HOST',
    default: '127.0.0.1',
    read: anyText('an address or a host name'),
    help: 'The address to serve on. localhost stands for all its addresses, such as 127.0.0.1 and ::1.'
  },
  port: {
    name: 'HOLDFAST_PORT',
    default: 8080,
    read: wholeNumber(0, 65_535),
    help: 'The port to serve on. 0 takes a free one.'
  },
  url: {
    name: 'HOLDFAST_URL',
    default: '',
    read: serviceUrl,
    help:
      'Where holdfast apply and holdfast export find the service, such as http://127.0.0.1:8080. Without ' +
      'it, they use HOLDFAST_HOST and HOLDFAST_PORT.'
  },
  key: {
    name: 'HOLDFAST_KEY',
    default: '',
    read: anyText('text'),
    help:
      'The API key that commands send to the service. Without it, they send the key in ' +
      'HOLDFAST_ADMIN_KEY_FILE, if there is one.'
  },
  auth: {
    name: 'HOLDFAST_AUTH',
    default: 'keys',
    read: oneOf('keys', 'off'),
    help:
      'keys: every call needs an API key once one exists. Without any key, the service serves on ' +
      'loopback addresses only. off: no call needs a key, on any address.'
  },
  adminKeyFile: {
    name: 'HOLDFAST_ADMIN_KEY_FILE',
    default: '',
    read: file,
    help:
      'A file that holds an admin key of 32 to 256 characters. The key is stored nowhere else. ' +
      'With this file, calls need a key from the start.'
  },
  open: {
    name: 'HOLDFAST_OPEN',
    default: [],
    read: listOf('docs', 'metrics'),
    help:
      'What needs no key even when other calls do: docs (Swagger UI and the OpenAPI document), ' +
      'metrics, or both as docs,metrics.'
  },
  sqs: {
    name: 'HOLDFAST_SQS',
    default: true,
    read: onOrOff,
    help: 'on: clients of Amazon SQS are served on the same port. off: they get routeNotFound.'
  },
  sqsUrl: {
    name: 'HOLDFAST_SQS_URL',
    default: '',
    read: serviceUrl,
    help:
      'The address at which SQS clients reach the service, such as https://queues.example.com. Queue URLs ' +
      'begin with it. Without it, they begin with the Host of each request.'
  },
  signingSecretFile: {
    name: 'HOLDFAST_SIGNING_SECRET_FILE',
    default: '',
    read: anyText('a path, or two'),
    help:
      'A file of 32 or more random bytes, the same for every replica. The service derives from it the ' +
      'secret access keys of SQS clients and the secrets of pushes. While you change the file, name both, ' +
      'separated by a comma, the new one first. Without the setting, the embedded PostgreSQL gets a file ' +
      'in HOLDFAST_DATA_DIR. A database of your own without it holds the secret of pushes itself, and SQS ' +
      'clients get no keys.'
  },
  pushPrivate: {
    name: 'HOLDFAST_PUSH_PRIVATE',
    default: false,
    read: onOrOff,
    help:
      'on: pushes may reach private, loopback and other special addresses. off: only addresses of the ' +
      'public internet.'
  },
  dataDir: {
    name: 'HOLDFAST_DATA_DIR',
    default: 'data',
    read: file,
    help:
      'The folder of the embedded PostgreSQL. A relative path starts at the folder where the command ' +
      'runs, which for npm is the project.'
  },
  processes: {
    name: 'HOLDFAST_PROCESSES',
    default: 1,
    read: takes(`\`auto\`, 1 to ${processesMax}`, text =>
      text === 'auto' ? Math.min(processesMax, availableParallelism()) : wholeNumber(1, processesMax)(text)
    ),
    help:
      'Processes that serve the port, each on a core of its own. auto: one for each core. Every limit ' +
      'is for all of them together.'
  },
  poolSize: {
    name: 'HOLDFAST_POOL_SIZE',
    default: 10,
    read: wholeNumber(2, 1000),
    help:
      'Connections to the database, in addition to one that listens for each process. The processes ' +
      `share them, and each needs ${connectionsPerProcess.min}. Without the setting, several ` +
      `processes get ${connectionsPerProcess.usual} each. Group commit needs few.`
  },
  createQueues: {
    name: 'HOLDFAST_CREATE_QUEUES',
    default: true,
    read: onOrOff,
    help: 'on: an enqueue to an unknown queue creates the queue. off: it is refused with queueNotFound.'
  },
  autoQueuesMax: {
    name: 'HOLDFAST_AUTO_QUEUES_MAX',
    default: 10_000,
    read: wholeNumber(1, 1_000_000),
    help:
      'How many queues may be created by enqueues, and by keys that are not admin. One API key may create ' +
      'at most half of what other keys leave. Beyond that, a new queue is refused with tooManyQueues.'
  },
  schedulesMax: {
    name: 'HOLDFAST_SCHEDULES_MAX',
    default: 1000,
    read: wholeNumber(1, 100_000),
    help:
      'How many schedules there may be. One API key may own at most half of what other keys leave. Beyond ' +
      'that, a new schedule is refused with tooManySchedules.'
  },
  schedulesPerQueueMax: {
    name: 'HOLDFAST_SCHEDULES_PER_QUEUE_MAX',
    default: 100,
    read: wholeNumber(1, 100_000),
    help: 'How many schedules one queue may have. An admin may make more.'
  },
  requestBytesMax: {
    name: 'HOLDFAST_REQUEST_BYTES_MAX',
    default: 8_388_608,
    read: wholeNumber(1024, 268_435_456),
    help: 'The largest request accepted, in bytes.'
  },
  waitingBytesMax: {
    name: 'HOLDFAST_WAITING_BYTES_MAX',
    default: 67_108_864,
    read: wholeNumber(1_048_576, 4_294_967_296),
    help:
      'Bytes of messages that may wait for the database. Beyond that, enqueues are refused with ' +
      'overloaded.'
  },
  waitersMax: {
    name: 'HOLDFAST_WAITERS_MAX',
    default: 20_000,
    read: wholeNumber(1, 1_000_000),
    help: 'Calls that may wait for messages at the same time. Further calls are refused with tooManyWaiting.'
  },
  connectionsMax: {
    name: 'HOLDFAST_CONNECTIONS_MAX',
    default: 25_000,
    read: wholeNumber(1, 1_000_000),
    help:
      'Client connections at the same time. Further connections are closed without an answer. ' +
      'The limit of open files of the process must be higher.'
  },
  requestSecondsMax: {
    name: 'HOLDFAST_REQUEST_SECONDS_MAX',
    default: 30,
    read: wholeNumber(1, 3600),
    help:
      'Seconds in which a whole request must arrive. Its header fields must arrive in half of that time. ' +
      'Otherwise the request is refused with requestTimeout.'
  },
  silentSecondsMax: {
    name: 'HOLDFAST_SILENT_SECONDS_MAX',
    default: 90,
    read: wholeNumber(1, 3600),
    help:
      'Seconds without a byte in either direction before a connection with an unfinished request is ' +
      'closed. Keep it longer than any waitSeconds.'
  },
  keepAliveSeconds: {
    name: 'HOLDFAST_KEEP_ALIVE_SECONDS',
    default: 75,
    read: wholeNumber(1, 3600),
    help:
      'Seconds that a connection may rest between two requests. Keep it longer than the load balancer ' +
      'in front keeps its connections.'
  },
  logLevel: {
    name: 'HOLDFAST_LOG_LEVEL',
    default: 'warn',
    read: oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent'),
    help: 'What is logged: trace, debug, info (one line per request), warn, error or silent.'
  }
} satisfies Record<string, Setting<string> | Setting<string[]> | Setting<number> | Setting<boolean>>

/** The default of a setting as a person would write it; empty where it has none. */
export function defaultAsText({ default: value }: (typeof environment)[keyof typeof environment]): string {
  if (Array.isArray(value)) return value.join(',')
  if (typeof value !== 'boolean') return String(value)
  return value ? 'on' : 'off'
}

export type Config = { [K in keyof typeof environment]: ReturnType<(typeof environment)[K]['read']> } & {
  /** null: no spans are made. */
  tracing: { serviceName: string | undefined } | null
}

/**
 * Reads all settings. Throws one Error that names every fault, unknown HOLDFAST_ names included.
 */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const faults: string[] = []
  const keys = new Map(Object.entries(environment).map(([key, { name }]) => [name, key]))
  const config: Record<string, unknown> = Object.fromEntries(
    Object.entries(environment).map(([key, setting]) => [key, setting.default])
  )
  config.tracing = readTracing(env)
  for (const [name, value] of Object.entries(env)) {
    const isOurs = name.startsWith('HOLDFAST_') && !name.startsWith('HOLDFAST_TEST_')
    if (!isOurs || value === undefined || value === '') continue
    const key = keys.get(name)
    if (key === undefined) {
      faults.push(unknownSetting(name, [...keys.keys()]))
      continue
    }
    try {
      config[key] = environment[key as keyof typeof environment].read(value)
    } catch (error) {
      faults.push(`${name} ${(error as Error).message}.`)
    }
  }
  faults.push(...shareOutConnections(config as Config, env.HOLDFAST_POOL_SIZE ?? ''))
  if (faults.length > 0) throw new Error(faults.join('\n'))
  return config as Config
}

/**
 * Whether the standard variables of OpenTelemetry name an exporter of spans. Its SDK reads what else
 * they say. The service has a name of its own where they say none.
 */
function readTracing(env: NodeJS.ProcessEnv): Config['tracing'] {
  const exporter = env.OTEL_TRACES_EXPORTER || undefined
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT || 'none'
  const isDisabled = env.OTEL_SDK_DISABLED?.trim().toLowerCase() === 'true'
  if (isDisabled || (exporter ?? endpoint) === 'none') return null
  const isNamed =
    env.OTEL_SERVICE_NAME || /(^|,)\s*service\.name\s*=/.test(env.OTEL_RESOURCE_ATTRIBUTES ?? '')
  return { serviceName: isNamed ? undefined : 'holdfast' }
}

/** Every process needs connections of its own. Answers what is wrong with the setting. */
function shareOutConnections(config: Config, given: string): string[] {
  const { processes, poolSize } = config
  const { min, usual } = connectionsPerProcess
  if (given === '') config.poolSize = Math.max(poolSize, usual * processes)
  if (config.poolSize >= min * processes) return []
  return [`HOLDFAST_POOL_SIZE must be at least ${min * processes}: ${min} for each process.`]
}

function unknownSetting(name: string, names: string[]): string {
  const ownPart = (name: string) => name.slice('HOLDFAST_'.length)
  const suggestion = nearest(ownPart(name), names.map(ownPart))
  return suggestion === null
    ? `${name} is not a setting. See all with holdfast help.`
    : `${name} is not a setting; did you mean HOLDFAST_${suggestion}?`
}

/** Whether an address to serve on can be reached from this machine only. */
export const isLoopback = (host: string) =>
  host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'))

/** Why the service cannot serve on its address, with the setting that helps. */
export function explainListening(
  error: NodeJS.ErrnoException,
  { host, port }: Pick<Config, 'host' | 'port'>
): Error {
  const place = `port ${port} of ${host}`
  const reasons: Record<string, string> = {
    EADDRINUSE: `HOLDFAST_PORT: another program serves on ${place}. Stop it, or choose another port.`,
    EACCES: `HOLDFAST_PORT: this user may not serve on ${place}. Choose a port from 1024 on.`,
    EADDRNOTAVAIL: `HOLDFAST_HOST: this machine has no address ${host}. Choose one that it has.`,
    ENOTFOUND: `HOLDFAST_HOST: there is no host ${host}. Choose an address of this machine.`
  }
  const reason = reasons[error.code ?? '']
  return reason === undefined ? error : new Error(reason, { cause: error })
}

/**
 * What to say at the start of a service whose calls need no key. Throws where others could reach
 * it.
 */
export function explainOpenAccess({ auth, host }: Pick<Config, 'auth' | 'host'>): string {
  if (auth === 'off') return `HOLDFAST_AUTH=off: everyone who reaches ${host} may use every queue.`
  if (isLoopback(host)) {
    return (
      `There is no API key yet. Calls need none, and only this machine is served (${host}). ` +
      'Behind a proxy or a tunnel every caller looks like this machine. ' +
      'Before you put one in front, make a key: holdfast keys create ops --allow admin.'
    )
  }
  throw new Error(
    `There is no API key yet, and on ${host} others could reach the queues. Make a key with ` +
      'holdfast keys create ops --allow admin, give one in HOLDFAST_ADMIN_KEY_FILE, or set ' +
      'HOLDFAST_AUTH=off to serve everyone.'
  )
}
