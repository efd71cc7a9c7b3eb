/** Starts that are refused, with the reason. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { pollPause } from '../support/pollPause.ts'
import { freshServer } from '../support/postgres.ts'
import { connect } from './setup.ts'

/**
 * Starts the service, which is to end by itself. Returns its exit code and what it printed as
 * errors.
 */
async function failedStart(env: Record<string, string>): Promise<{ code: number | null; errors: string }> {
  const child = spawn(process.execPath, ['bin/holdfast.mjs', 'serve'], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'ignore', 'pipe']
  })
  let errors = ''
  child.stderr.on('data', text => {
    errors += text
  })
  const [code] = await once(child, 'close')
  return { code, errors }
}

t.test('a PostgreSQL that could lose a commit is refused at the start, with the reason', async t => {
  const server = await freshServer(t)
  const sql = await connect(t, server.url)
  const untilSet = async (setting: string, value: string) => {
    await sql.query('select pg_reload_conf()')
    while ((await sql.query(`show ${setting}`)).rows[0][setting] !== value) await pollPause()
  }
  for (const setting of ['fsync', 'full_page_writes']) {
    await sql.query(`alter system set ${setting} = off`)
    await untilSet(setting, 'off')
    const { code, errors } = await failedStart({ HOLDFAST_DATABASE_URL: server.url, HOLDFAST_PORT: '0' })
    t.equal(code, 1)
    const reason = `PostgreSQL runs with ${setting} = off, so a committed message could be lost in a crash.`
    t.ok(errors.startsWith(reason), errors)
    t.match(errors, /^[^\n]*\n$/, 'in one line')
    await sql.query(`alter system reset ${setting}`)
    await untilSet(setting, 'on')
  }
})

t.test('a start with unreadable settings is refused, and all of them are named', async t => {
  const { code, errors } = await failedStart({
    HOLDFAST_PORT: 'eighty',
    HOLDFAST_DATBASE_URL: 'x',
    HOLDFAST_POOL_SIZE: '0'
  })
  t.equal(code, 2)
  t.match(errors, /HOLDFAST_PORT must be a whole number/)
  t.match(errors, /HOLDFAST_DATBASE_URL is not a setting; did you mean HOLDFAST_DATABASE_URL\?/)
  t.match(errors, /HOLDFAST_POOL_SIZE must be/)
})
