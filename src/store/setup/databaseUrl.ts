/**
 * The URL of the database: what it may say, and what its sslmode means. The meaning is libpq's, so
 * that one URL serves psql and Holdfast alike. No message shows a URL, since it may hold a password.
 */
import { readFile } from 'node:fs/promises'
import type { ConnectionOptions } from 'node:tls'
import type pg from 'pg'
import type { HostRole } from '../hostFacts.ts'
import type { Host } from '../hosts.ts'

/** What target_session_attrs may say. A service needs a host that takes writes, whatever it says. */
const hostRoles: Record<string, HostRole> = {
  any: 'read-write',
  'read-write': 'read-write',
  primary: 'primary'
}
const connectSecondsMax = 60
const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']

/** Throws an Error that goes on after the name of the setting: "must be a URL that …". */
export function checkDatabaseUrl(text: string): string {
  if (!/^postgres(ql)?:\/\//.test(text)) throw new Error('must be a URL that begins with postgresql://')
  for (const { text: single } of singlesOf(text)) {
    const url = readUrl(single)
    // An unescaped # or / of a password ends the host too early, without making the URL invalid.
    if (url === null || url.hash !== '' || (url.username === '' && url.pathname.includes('@'))) {
      throw new Error(
        'cannot be read as a URL. Write it as postgresql://user:password@host:5432/database, and ' +
          'percent-encode special characters in the user and the password: # as %23, / as %2F, @ as %40'
      )
    }
  }
  const { parameters } = parse(text)
  checkTls(parameters)
  checkHosts(parameters)
  return text
}

function checkHosts(parameters: URLSearchParams): void {
  const role = parameters.get('target_session_attrs')
  if (role !== null && !Object.hasOwn(hostRoles, role)) {
    throw new Error(
      `has target_session_attrs=${role}, and Holdfast needs a host that takes writes. Set it to ` +
        'read-write, or leave it out'
    )
  }
  const seconds = parameters.get('connect_timeout')
  if (seconds !== null && !(/^\d{1,2}$/.test(seconds) && Number(seconds) <= connectSecondsMax)) {
    throw new Error(`has a connect_timeout that is no whole number of seconds up to ${connectSecondsMax}`)
  }
}

/** Which host a URL with several asks for. */
export function hostRoleOf(text: string): HostRole {
  return hostRoles[parse(text).parameters.get('target_session_attrs') ?? 'any']!
}

/** A URL for each of the hosts, as libpq reads them: in the URL, or as lists in host and port. */
function singlesOf(text: string): { name: string; text: string }[] {
  const { base, hosts, parameters } = parse(text)
  const [listed, ports] = [parameters.get('host'), parameters.get('port')?.split(',')]
  const names = (listed ?? hosts).split(',')
  if (names.length === 1 && (ports?.length ?? 1) === 1) return [{ name: names[0]!, text }]
  if (names.includes('')) throw new Error('has a host without a name in its list')
  if (ports !== undefined && ![1, names.length].includes(ports.length)) {
    throw new Error(
      `has ${names.length} hosts and ${ports.length} ports. Give each host a port, or all the same`
    )
  }
  return names.map((name, index) => {
    const port = ports?.at(ports.length === 1 ? 0 : index)
    const own = new URLSearchParams(parameters)
    if (port !== undefined) own.set('port', port)
    if (listed !== null) own.set('host', name)
    const query = own.size === 0 ? '' : `?${own}`
    const single = listed === null ? withHost(base, hosts, name) : base
    return { name: port === undefined ? name : `${name}:${port}`, text: `${single}${query}` }
  })
}

/** Replaces the hosts after the last @ of the authority. */
function withHost(base: string, hosts: string, name: string): string {
  const end = base.indexOf('/', base.indexOf('://') + 3)
  const [authority, path] = end < 0 ? [base, ''] : [base.slice(0, end), base.slice(end)]
  return `${authority.slice(0, authority.length - hosts.length)}${name}${path}`
}

function checkTls(parameters: URLSearchParams): void {
  const mode = parameters.get('sslmode')
  if (mode !== null && ![...sslModes, 'no-verify'].includes(mode)) {
    throw new Error(`has the sslmode ${mode}. It must be one of ${sslModes.join(', ')}`)
  }
  if (mode === 'verify-ca' && !parameters.has('sslrootcert')) {
    throw new Error(
      'has sslmode=verify-ca, which needs the certificate of the CA. Add sslrootcert=FILE, or use ' +
        'sslmode=verify-full for a server with a public certificate'
    )
  }
  if (parameters.get('sslrootcert') === 'system' && mode !== null && mode !== 'verify-full') {
    throw new Error('has sslrootcert=system, which needs sslmode=verify-full')
  }
  const unsupported = ['sslcrl', 'sslcrldir', 'sslpassword'].find(name => parameters.has(name))
  if (unsupported !== undefined) throw new Error(`has ${unsupported}, which Holdfast cannot use. Remove it`)
}

/**
 * The hosts of a URL, and the ways to connect to each. Throws an Error with a sentence for a person
 * when a file of the URL cannot be read.
 */
export async function hostsOf(text: string, setting: string): Promise<Host[]> {
  return await Promise.all(
    singlesOf(text).map(async single => ({ name: single.name, ways: await waysOf(single.text, setting) }))
  )
}

/** In the order in which to try them: two for sslmode allow and prefer, else one. */
async function waysOf(text: string, setting: string): Promise<pg.ClientConfig[]> {
  const { base, hosts, parameters } = parse(text)
  const read = async (name: string) => {
    const file = parameters.get(name)
    return file === null || file === 'system' ? undefined : await readNamed(file, name, setting)
  }
  const files = { ca: await read('sslrootcert'), cert: await read('sslcert'), key: await read('sslkey') }
  const named = Object.values(files).some(file => file !== undefined)
  const isStrict = named || parameters.has('sslrootcert')
  const mode = parameters.get('sslmode') ?? (isStrict ? 'verify-full' : null)
  const connectMs = 1000 * Number(parameters.get('connect_timeout'))
  for (const name of ownParameters) parameters.delete(name)
  const query = parameters.toString()
  const place = {
    connectionString: query === '' ? base : `${base}?${query}`,
    ...(connectMs > 0 && { connectionTimeoutMillis: connectMs })
  }
  if (mode === null) return [place]
  const encrypted = { ...place, ssl: tlsOf(mode, files) }
  const plain = { ...place, ssl: false }
  const isSocket = /^(\/|%2f)/i.test(parameters.get('host') ?? hosts)
  if (mode === 'disable' || isSocket) return [plain]
  if (mode === 'allow') return [plain, encrypted]
  return mode === 'prefer' ? [encrypted, plain] : [encrypted]
}

/** Parameters that are read here, and that pg does not know or would read otherwise. */
const ownParameters = [
  'sslmode',
  'sslrootcert',
  'sslcert',
  'sslkey',
  'uselibpqcompat',
  'target_session_attrs',
  'connect_timeout'
]

interface Files {
  ca: string | undefined
  cert: string | undefined
  key: string | undefined
}

/** Without a CA, only verify-full checks the certificate. With one, every mode does. */
function tlsOf(mode: string, { ca, cert, key }: Files): ConnectionOptions {
  const own = { ...(cert !== undefined && { cert }), ...(key !== undefined && { key }) }
  if (mode === 'verify-full') return { ...own, ...(ca !== undefined && { ca }) }
  if (ca === undefined || mode === 'no-verify') return { ...own, rejectUnauthorized: false }
  return { ...own, ca, checkServerIdentity: () => undefined }
}

async function readNamed(file: string, name: string, setting: string): Promise<string> {
  return await readFile(file, 'utf8').catch(error => {
    throw new Error(
      `The file ${file} cannot be read (${error.code}). Correct ${name} in ${setting}, or let the ` +
        'service read the file.'
    )
  })
}

/** The parts of a URL as they stand, even of one that URL cannot read. */
function parse(text: string): { base: string; hosts: string; parameters: URLSearchParams } {
  const [base, query = ''] = splitOnce(text, '?')
  const authority = base.replace(/^\w+:\/\//, '').split('/')[0]!
  return { base, hosts: authority.split('@').at(-1)!, parameters: new URLSearchParams(query) }
}

function splitOnce(text: string, mark: string): [string, string?] {
  const at = text.indexOf(mark)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}

/** As pg reads it: the host may be empty beside a user, for a socket. */
function readUrl(text: string): URL | null {
  const withHost = text.replace('@/', '@socket/')
  if (!URL.canParse(withHost)) return null
  const url = new URL(withHost)
  try {
    for (const part of [url.username, url.password, url.hostname, url.pathname]) decodeURIComponent(part)
    return url
  } catch {
    return null
  }
}
