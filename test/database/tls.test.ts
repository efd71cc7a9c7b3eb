/** Encrypted connections to the database: every sslmode means what it means to libpq. */
import t, { type Test } from 'tap'
import pg from 'pg'
import { readConfig } from '../../src/config.ts'
import { connect, readTarget } from '../../src/store/setup/connect.ts'
import { serviceProcess } from '../support/service.ts'
import {
  makeCertificates,
  noOpenssl,
  signCertificate,
  tcpServer,
  type TcpServer
} from '../support/tcpServer.ts'

const HOLDFAST_DATABASE_URL = 'HOLDFAST_DATABASE_URL'

/** How a connection by this url is made, or why there is none. */
async function reach(url: string): Promise<string> {
  try {
    readConfig({ HOLDFAST_DATABASE_URL: url })
    const client = await connect(await readTarget(url, HOLDFAST_DATABASE_URL), 'test')
    const { rows } = await client.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()')
    await client.end()
    return rows[0].ssl ? 'encrypted' : 'plain'
  } catch (error) {
    return (error as Error).message
  }
}

async function servers(t: Test) {
  const folder = t.testdir()
  const certificates = await makeCertificates(folder)
  const other = await makeCertificates(folder, 'elsewhere')
  const client = await signCertificate(folder, 'certified', certificates)
  const secure = await tcpServer(t, {
    tls: certificates,
    hba: [
      'hostssl all certified all cert',
      'hostssl all only_encrypted all trust',
      'hostnossl all only_plain all trust',
      'host all holdfast all trust'
    ]
  })
  const sql = new pg.Client(secure.url())
  await sql.connect()
  await sql.query(
    'create role certified login; create role only_encrypted login; create role only_plain login'
  )
  await sql.end()
  return { folder, certificates, other, client, secure, plain: await tcpServer(t) }
}

t.test('every sslmode means what it means to libpq', { skip: noOpenssl }, async t => {
  const { folder, certificates, other, client, secure, plain } = await servers(t)
  const ca = `&sslrootcert=${certificates.ca}`
  const by = (server: TcpServer, rest: string, options = {}) => reach(server.url({ rest, ...options }))

  for (const mode of ['disable', 'allow']) t.equal(await by(secure, `?sslmode=${mode}`), 'plain', mode)
  for (const mode of ['prefer', 'require', 'no-verify']) {
    t.equal(await by(secure, `?sslmode=${mode}`), 'encrypted', `${mode} checks no certificate`)
  }
  t.equal(await by(secure, `?sslmode=require${ca}`), 'encrypted')
  t.equal(await by(secure, `?sslmode=verify-ca${ca}`), 'encrypted', 'whatever the host is called')
  t.equal(await by(secure, `?sslmode=verify-full${ca}`, { host: 'localhost' }), 'encrypted')
  t.equal(await by(secure, `?sslrootcert=${certificates.ca}`, { host: 'localhost' }), 'encrypted')
  t.equal(await by(secure, ''), 'plain')

  // One server under two names, of which its certificate has one.
  const list = (...names: string[]) => ({ host: names.join(`:${secure.port},`) })
  const full = `?sslmode=verify-full${ca}`
  t.equal(await by(secure, full, list('127.0.0.1', 'localhost')), 'encrypted', 'the next host is tried')
  t.equal(await by(secure, full, list('localhost', '127.0.0.1')), 'encrypted', 'each by its own name')
  t.match(
    await by(secure, full, list('127.0.0.1', '127.0.0.1')),
    /^No host .*: 127\.0\.0\.1:\d+ cannot be reached \(.*; 127.* cannot be .*sslmode=verify-ca there\.$/
  )

  const files = `&sslcert=${client.cert}&sslkey=${client.key}`
  t.equal(await by(secure, `?sslmode=verify-ca${ca}${files}`, { user: 'certified' }), 'encrypted')

  t.equal(await by(secure, '?sslmode=allow', { user: 'only_encrypted' }), 'encrypted')
  t.equal(await by(secure, '?sslmode=prefer', { user: 'only_plain' }), 'plain')
  t.equal(await by(plain, '?sslmode=prefer'), 'plain')

  // Each refusal names the parameter that helps.
  const missing = `${folder}/missing.crt`
  const strange = `&sslrootcert=${other.ca}`
  const refusals: [TcpServer, string, object, RegExp][] = [
    [secure, `?sslmode=verify-full${ca}`, {}, /cannot be reached .*set sslmode=verify-ca there\.$/],
    [secure, '?sslmode=verify-full', { host: 'localhost' }, /sslrootcert=FILE in HOLDFAST_DATABASE_URL/],
    [secure, `?sslmode=require${strange}`, {}, /sslrootcert=FILE in HOLDFAST_DATABASE_URL/],
    [secure, `?sslmode=verify-ca&sslrootcert=${missing}`, {}, /ENOENT.*sslrootcert in HOLDFAST_DATABASE_URL/],
    [secure, '?sslmode=verify-ca', {}, /HOLDFAST_DATABASE_URL has sslmode=verify-ca.*Add sslrootcert=FILE/],
    [secure, '?sslmode=required', {}, /sslmode required\. It must be one of disable, allow, prefer, require/],
    [secure, '?sslmode=require&sslrootcert=system', {}, /sslmode=verify-full/],
    [secure, '', { user: 'only_encrypted' }, /refuses .*Add sslmode=require to HOLDFAST_DATABASE_URL/],
    [secure, '?sslmode=require', { user: 'certified' }, /refuses .*sslcert and sslkey/],
    [plain, '?sslmode=require', {}, /set sslmode=disable in HOLDFAST_DATABASE_URL/]
  ]
  for (const [server, rest, options, message] of refusals) t.match(await by(server, rest, options), message)
})

t.test(
  'a service works over TLS, on every connection, and says nothing about it',
  { skip: noOpenssl },
  async t => {
    const { certificates, secure } = await servers(t)
    const sql = new pg.Client(secure.url())
    await sql.connect()
    t.teardown(() => sql.end())
    await sql.query('create database queue')
    for (const rest of ['?sslmode=require', `?sslmode=verify-full&sslrootcert=${certificates.ca}`]) {
      const url = secure.url({ host: 'localhost', database: 'queue', rest })
      const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: url, HOLDFAST_LISTEN_URL: url })
      t.equal((await holdfast.post('/queues/mail/messages', { body: 1 })).status, 201)
      t.equal((await holdfast.post('/queues/mail/lease')).body.messages.length, 1)
      const { rows } = await sql.query(
        `select application_name, bool_and(ssl) as ssl
       from pg_stat_ssl
       join pg_stat_activity using (pid)
       where datname = 'queue'
       group by application_name
       order by application_name`
      )
      t.strictSame(rows, [
        { application_name: 'holdfast', ssl: true },
        { application_name: 'holdfast listener', ssl: true }
      ])
      holdfast.child.kill('SIGTERM')
      t.equal(await holdfast.ended, 0)
      t.notMatch(holdfast.said(), /warning/i)
    }
  }
)
