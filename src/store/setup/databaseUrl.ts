/**
 * The URL of the database: what it may say, and what its sslmode means. The meaning is libpq's, so
 * that one URL serves psql and Holdfast alike. No message shows a URL, since it may hold a password.
 */
import { readFile } from 'node:fs/promises'
import type { ConnectionOptions } from 'node:tls'
import type pg from 'pg'

const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full']

/** Throws an Error that goes on after the name of the setting: "must be a URL that …". */
export function checkDatabaseUrl(text: string): string {
  if (!/^postgres(ql)?:\/\//.test(text)) throw new Error('must be a URL that begins with postgresql://')
  const { hosts, parameters } = parse(text)
  if ([hosts, parameters.get('host') ?? ''].some(names => names.includes(','))) {
    throw new Error(
      'must name one host, and names several. Name an address that follows the primary: a virtual ' +
        'address, a DNS name or a proxy'
    )
  }
  const url = readUrl(text)
  // An unescaped # or / of a password ends the host too early, without making the URL invalid.
  if (url === null || url.hash !== '' || (url.username === '' && url.pathname.includes('@'))) {
    throw new Error(
      'cannot be read as a URL. Write it as postgresql://user:password@host:5432/database, and ' +
        'percent-encode special characters in the user and the password: # as %23, / as %2F, @ as %40'
    )
  }
  checkTls(parameters)
  return text
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
 * The ways to connect, in the order in which to try them: two for sslmode allow and prefer, else
 * one. Throws an Error with a sentence for a person when a file of the URL cannot be read.
 */
export async function waysOf(text: string, setting: string): Promise<pg.ClientConfig[]> {
  const { base, hosts, parameters } = parse(text)
  const read = async (name: string) => {
    const file = parameters.get(name)
    return file === null || file === 'system' ? undefined : await readNamed(file, name, setting)
  }
  const files = { ca: await read('sslrootcert'), cert: await read('sslcert'), key: await read('sslkey') }
  const named = Object.values(files).some(file => file !== undefined)
  const isStrict = named || parameters.has('sslrootcert')
  const mode = parameters.get('sslmode') ?? (isStrict ? 'verify-full' : null)
  for (const name of ['sslmode', 'sslrootcert', 'sslcert', 'sslkey', 'uselibpqcompat']) {
    parameters.delete(name)
  }
  const query = parameters.toString()
  const connectionString = query === '' ? base : `${base}?${query}`
  if (mode === null) return [{ connectionString }]
  const encrypted = { connectionString, ssl: tlsOf(mode, files) }
  const plain = { connectionString, ssl: false }
  const isSocket = /^(\/|%2f)/i.test(parameters.get('host') ?? hosts)
  if (mode === 'disable' || isSocket) return [plain]
  if (mode === 'allow') return [plain, encrypted]
  return mode === 'prefer' ? [encrypted, plain] : [encrypted]
}

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
