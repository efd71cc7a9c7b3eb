/** Why there is no connection to the database: in one line that names the setting. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { readConfig } from '../../src/config.ts'
import { startService } from '../../src/service.ts'
import { freePort, tcpServer } from '../support/tcpServer.ts'
import { connect } from '../support/postgres.ts'

/** What a start with this environment says. */
async function failedStart(env: Record<string, string>): Promise<string> {
  return await startService(readConfig({ HOLDFAST_PORT: '0', ...env }), () => {}).then(
    () => 'it started',
    error => error.message
  )
}

t.test('a start without a database says in one line which setting to correct', async t => {
  const server = await tcpServer(t, {
    hba: ['host all secret all scram-sha-256', 'host all stranger all reject', 'host all all all trust']
  })
  const sql = await connect(t, server.url())
  await sql.query(`
    create role secret login password 'right';
    create role shut nologin;
    create role app login`)
  await sql.query('create database closed')
  await sql.query('revoke connect on database closed from public')
  const nobody = await freePort()
  const cases: [string, RegExp][] = [
    [
      server.url({ user: 'secret:wrong' }),
      /refuses.*"secret".*Correct the user or the password in HOLDFAST_/
    ],
    [server.url({ user: 'secret' }), /asks for a password\. Put one into HOLDFAST_DATABASE_URL/],
    [server.url({ user: 'noone' }), /refuses.*"noone" does not exist.*user in HOLDFAST_DATABASE_URL/],
    [server.url({ user: 'shut' }), /not permitted to log in.*user in HOLDFAST_DATABASE_URL/],
    [server.url({ user: 'stranger' }), /refuses.*pg_hba\.conf/],
    [server.url({ database: 'none' }), /"none" does not exist.*its name in HOLDFAST_DATABASE_URL/],
    [server.url({ database: 'closed', user: 'app' }), /denied.*grant connect.*HOLDFAST_DATABASE_URL/],
    [`postgresql://127.0.0.1:${nobody}/x`, /ECONNREFUSED.*host and the port in HOLDFAST_DATABASE_URL/],
    [`postgresql://localhost:${nobody}/x`, /\(connect ECONNREFUSED.*the port in HOLDFAST_DATABASE_URL/],
    ['postgresql://nowhere.invalid/x', /(ENOTFOUND|EAI_AGAIN).*Correct the host in HOLDFAST_DATABASE_URL/],
    ['postgresql:///x?host=/nowhere', /ENOENT.*socket \(host=…\) in HOLDFAST_DATABASE_URL/]
  ]
  for (const [url, message] of cases) {
    const said = await failedStart({ HOLDFAST_DATABASE_URL: url })
    t.match(said, message)
    t.match(said, /^The database (cannot be reached|refuses the connection) \([^\n]*\.$/, 'in one line')
    t.notMatch(said, /right|wrong/, 'without the password')
  }
})

t.test('the command says that line alone', async t => {
  const env = {
    PATH: process.env.PATH,
    HOLDFAST_DATABASE_URL: `postgresql://127.0.0.1:${await freePort()}/x?sslmode=prefer`
  }
  const start = promisify(execFile)(process.execPath, ['bin/holdfast.mjs', 'serve'], { env })
  await t.rejects(start, {
    code: 1,
    stderr: /^The database cannot be reached [^\n]*HOLDFAST_DATABASE_URL\.\n$/
  })
})

t.test(
  'a URL that cannot work is refused with the name of its setting, and without its password',
  async t => {
    const faults: [string, RegExp][] = [
      ['postgresql://host:port/db', /cannot be read as a URL/],
      ['postgresql://u:s#cret@host/db', /percent-encode/],
      ['postgresql://u:12#cret@host/db', /percent-encode/],
      ['postgresql://u:12/cret@host/db', /percent-encode/],
      ['postgresql://u:%ffcret@host/db', /percent-encode/],
      ['mysql://host/db', /must be a URL that begins with postgresql:\/\//],
      ['postgresql://host/db?sslmode=on', /has the sslmode on\. It must be one of disable, allow/],
      ['postgresql://host/db?sslcrl=x', /has sslcrl, which Holdfast cannot use/]
    ]
    for (const name of ['HOLDFAST_DATABASE_URL', 'HOLDFAST_LISTEN_URL']) {
      for (const [url, message] of faults) {
        const said = await Promise.resolve({ [name]: url })
          .then(readConfig)
          .then(
            () => 'nothing',
            error => error.message
          )
        t.match(said, new RegExp(`^${name} [^\\n]+\\.$`))
        t.match(said, message, url)
        t.notMatch(said, /cret/)
      }
    }
    for (const url of [
      'postgresql://host',
      'postgresql://u:p%23%2F%40@host:5432/db?sslmode=require',
      'postgres://[::1]:5432/db',
      'postgresql://u@/db?host=%2Ftmp%2Fx&port=5432',
      'postgresql://%2Ftmp%2Fx/db',
      'postgresql:///db?host=/tmp'
    ]) {
      t.equal(readConfig({ HOLDFAST_DATABASE_URL: url }).databaseUrl, url)
    }
  }
)
