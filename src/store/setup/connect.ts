/** Connections outside the pool, and why there is none: in a sentence that names the setting. */
import pg from 'pg'
import { isServerError, reasonOf } from '../databaseErrors.ts'
import { Hosts, NoWriter, type Target } from '../hosts.ts'
import { hostRoleOf, hostsOf } from './databaseUrl.ts'

const connectMsMax = 5000

/**
 * How to connect, for pg's Client and Pool. For sslmode allow and prefer it finds out whether a
 * single host takes encrypted connections. Throws an Error with a sentence for a person when a file
 * of the URL cannot be read. A server that cannot be reached throws later, in `connect`.
 */
export async function readTarget(url: string, setting: string): Promise<Target> {
  const hosts = await hostsOf(url, setting)
  if (hosts.length > 1) return { hosts: new Hosts(hosts, hostRoleOf(url), setting) }
  const { ways } = hosts[0]!
  if (ways.length === 1) return ways[0]!
  for (const way of ways) {
    const client = new pg.Client({ connectionTimeoutMillis: connectMsMax, ...way })
    client.on('error', () => {})
    const isOpen = await client.connect().then(
      () => true,
      () => false
    )
    await client.end().catch(() => {})
    if (isOpen) return way
  }
  return ways[0]!
}

/**
 * A connection outside the pool, without the settings of the service's sessions. Throws an Error
 * with a sentence for a person when there is none.
 */
export async function connect(target: Target, name: string): Promise<pg.Client> {
  return await open(target, { application_name: name }).catch(error => {
    throw new Error(explainConnection(error, 'HOLDFAST_DATABASE_URL'))
  })
}

/** A connection outside the pool. */
export async function open({ hosts, ...target }: Target, config: pg.ClientConfig): Promise<pg.Client> {
  const whole = { connectionTimeoutMillis: connectMsMax, ...target, ...config }
  if (hosts !== undefined) return await hosts.connect(whole)
  const client = new pg.Client(whole)
  client.on('error', () => {}) // the query under way reports it
  await client.connect().catch(error => {
    client.end().catch(() => {})
    throw error
  })
  return client
}

/** Why no connection could be had, and what to do about it. */
export function explainConnection(error: unknown, setting: string): string {
  if (error instanceof NoWriter) {
    const { cause } = error
    const advice = cause === undefined ? promote : adviceFor(cause, reasonOf(cause), setting)
    return `${error.message} ${advice}`
  }
  const reason = reasonOf(error)
  const verb = isServerError(error) ? 'refuses the connection' : 'cannot be reached'
  return `The database ${verb} (${reason}). ${adviceFor(error, reason, setting)}`
}

function adviceFor(error: unknown, reason: string, setting: string): string {
  const { code = '' } = error as { code?: string }
  const byCode = Object.hasOwn(advices, code) ? advices[code] : undefined
  const advice = byCode ?? byReason.find(([pattern]) => pattern.test(reason))?.[1]
  return (advice ?? 'Start PostgreSQL, or correct SETTING.').replaceAll('SETTING', setting)
}

const unknownCa =
  'Give the certificate of its CA as sslrootcert=FILE in SETTING, or set sslmode=require there to ' +
  'encrypt without checking who answers.'
const promote = 'Start the primary, or promote a standby.'
const wrongHost = 'Correct the host in SETTING.'
const checkNetwork = 'Check the network and the firewalls on the way, or correct the host in SETTING.'
const socketFolder = 'Start PostgreSQL, or correct the folder of its socket (host=…) in SETTING.'

/** By the SQLSTATE of the server, or the code of Node.js. */
const advices: Record<string, string> = {
  '28P01': 'Correct the user or the password in SETTING.',
  '3D000': 'Create the database, or correct its name in SETTING.',
  42501: 'Run grant connect on database … to the role, or correct SETTING.',
  53300: 'Raise max_connections of the server, or lower HOLDFAST_POOL_SIZE.',
  '57P03': 'Start again once the server is up.',
  ECONNREFUSED: 'Start PostgreSQL there, or correct the host and the port in SETTING.',
  ENOTFOUND: wrongHost,
  EAI_AGAIN: wrongHost,
  ENOENT: socketFolder,
  EACCES: socketFolder,
  ETIMEDOUT: checkNetwork,
  EHOSTUNREACH: checkNetwork,
  ENETUNREACH: checkNetwork,
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownCa,
  SELF_SIGNED_CERT_IN_CHAIN: unknownCa,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownCa,
  UNABLE_TO_GET_ISSUER_CERT: unknownCa,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownCa,
  CERT_SIGNATURE_FAILURE: unknownCa,
  CERT_HAS_EXPIRED: "Renew the server's certificate.",
  ERR_TLS_CERT_ALTNAME_INVALID:
    'Write the host in SETTING as the certificate names it, or set sslmode=verify-ca there.'
}

const byReason: [RegExp, string][] = [
  [/no answer in time/, checkNetwork],
  [/does not support SSL/, 'Turn on ssl at the server, or set sslmode=disable in SETTING.'],
  [/no pg_hba\.conf entry.*no encryption/, 'Add sslmode=require to SETTING, or allow it in pg_hba.conf.'],
  [/no pg_hba\.conf entry/, 'Allow the role, the database and this address in pg_hba.conf.'],
  [/role ".*" does not exist/, 'Create the role, or correct the user in SETTING.'],
  [/not permitted to log in/, 'Run alter role … login, or correct the user in SETTING.'],
  [/password must be a string/, 'The server asks for a password. Put one into SETTING.'],
  [/certificate|SSL|TLS/i, 'Check sslmode, sslrootcert, sslcert and sslkey in SETTING.'],
  [
    /startup parameter/,
    'Remove the parameter from SETTING, or name it in ignore_startup_parameters of PgBouncer.'
  ],
  [/no such (database|user)/, 'Add it to the configuration of PgBouncer, or correct SETTING.']
]
