/** A PostgreSQL that is reached over TCP, with TLS and pg_hba.conf as a test needs them. */
import { execFile, spawn } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { createCluster } from '../../src/store/setup/embedded/cluster.ts'
import { commandLine, findProgram } from '../../src/store/setup/embedded/program.ts'

const run = promisify(execFile)

export interface TcpServer {
  port: number
  /** The url of a database on it. `rest` follows the database: parameters, for example. */
  url(options?: { user?: string; host?: string; database?: string; rest?: string }): string
}

/** Files of a certificate authority, and of a server whose certificate it has signed for localhost. */
interface Certificates {
  ca: string
  cert: string
  key: string
}

/** Starts one that ends with `t`. `hba` are the lines of pg_hba.conf; without, all are trusted. */
export async function tcpServer(
  t: Pick<Test, 'teardown'>,
  { tls, hba = ['host all all all trust'] }: { tls?: Certificates; hba?: string[] } = {}
): Promise<TcpServer> {
  const program = await findProgram()
  const home = await mkdtemp(join(tmpdir(), 'holdfast-tcp-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const data = join(home, 'data')
  await createCluster(program, home, data)
  await writeFile(join(data, 'pg_hba.conf'), hba.join('\n') + '\n')
  const port = await freePort()
  const settings = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=on', 'timezone=UTC']
  if (tls !== undefined) {
    await run('cp', [tls.cert, join(data, 'server.crt')])
    await run('cp', [tls.key, join(data, 'server.key')])
    await run('cp', [tls.ca, join(data, 'ca.crt')])
    settings.push('ssl=on', 'ssl_ca_file=ca.crt')
  }
  if (program.uid !== undefined) await run('chown', ['-R', `${program.uid}:${program.uid}`, home])
  const args = ['-D', data, '-p', String(port), ...settings.flatMap(setting => ['-c', setting])]
  const child = spawn(...commandLine(program, 'postgres', args), {
    cwd: '/',
    stdio: ['ignore', 'ignore', 'pipe']
  })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGINT')
    await ended
  })
  await untilReady(child.stderr)
  const url: TcpServer['url'] = ({
    user = 'holdfast',
    host = '127.0.0.1',
    database = 'postgres',
    rest
  } = {}) => `postgresql://${user}@${host}:${port}/${database}${rest ?? ''}`
  return { port, url }
}

async function untilReady(log: NodeJS.ReadableStream): Promise<void> {
  const said: string[] = []
  for await (const line of createInterface({ input: log })) {
    said.push(line)
    if (line.includes('ready to accept connections')) {
      log.resume()
      return
    }
  }
  throw new Error(`PostgreSQL did not start: ${said.join('\n')}`)
}

/**
 * A port where nobody serves. It lies below those that systems give to outgoing connections. So a server
 * that is killed finds it free again.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(randomInt(20_000, 32_000), '127.0.0.1')
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false
    )
    if (!isFree) continue
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    return port
  }
}

/** Why certificates cannot be made here; false when they can. */
export const noOpenssl = await run('openssl', ['version']).then(
  ({ stdout }) => (/OpenSSL [3-9]/.test(stdout) ? false : 'openssl is older than 3'),
  () => 'there is no openssl here'
)

/** Makes a certificate authority in a folder, and a certificate of it, for localhost or a user. */
export async function makeCertificates(folder: string, subject = 'localhost'): Promise<Certificates> {
  const file = (name: string) => join(folder, `${subject}-${name}`)
  const ca = file('ca.crt')
  const caKey = file('ca.key')
  await openssl('-x509', '-subj', '/CN=test authority', '-keyout', caKey, '-out', ca)
  return { ca, ...(await signCertificate(folder, subject, { ca, caKey })) }
}

/** Makes a certificate that an authority of `makeCertificates` has signed. */
export async function signCertificate(
  folder: string,
  subject: string,
  { ca, caKey = ca.replace(/crt$/, 'key') }: { ca: string; caKey?: string }
): Promise<Pick<Certificates, 'cert' | 'key'>> {
  const [cert, key] = [join(folder, `${subject}.crt`), join(folder, `${subject}.key`)]
  const names = ['-subj', `/CN=${subject}`, '-addext', `subjectAltName=DNS:${subject}`]
  await openssl('-x509', '-CA', ca, '-CAkey', caKey, ...names, '-keyout', key, '-out', cert)
  return { cert, key }
}

async function openssl(...args: string[]): Promise<void> {
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2']
  await run('openssl', ['req', ...curve, ...args])
}
