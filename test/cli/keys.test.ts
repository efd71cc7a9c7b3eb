/** `holdfast keys`, beside a running service. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import pg from 'pg'
import t from 'tap'
import { readCall, UsageError } from '../../src/cli/command.ts'
import { keys } from '../../src/cli/keys.ts'
import { readConfig } from '../../src/config.ts'
import { guarded, until, withKey } from '../support/apiKeys.ts'
import { freshDatabase } from '../support/postgres.ts'

t.test('keys are created, listed and revoked on the command line', async t => {
  const { holdfast, admin } = await guarded(t)
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, ['bin/holdfast.mjs', 'keys', ...args], {
      env: {
        PATH: process.env.PATH,
        HOLDFAST_DATABASE_URL: holdfast.databaseUrl,
        HOLDFAST_ADMIN_KEY_FILE: '/the/file/of/the/service'
      }
    })
  const { stdout } = await run(
    'create',
    'mail worker',
    '--allow',
    'lease:mail',
    '--allow',
    'browse:m*',
    '--messages-per-second',
    '50'
  )
  t.match(stdout, /^hf_[0-9a-f]{10}_[A-Za-z0-9_-]{43}\n$/, 'nothing but the key')
  await until(404, () => withKey(holdfast, stdout.trim()).get('/nowhere'))
  const [{ id, ...key }] = (await admin.get('/keys')).body.keys
  t.match(key, {
    name: 'mail worker',
    rights: ['lease:mail', 'browse:m*'],
    messagesPerSecond: 50,
    requestsPerSecond: null
  })
  await t.rejects(run('create', 'no secret', '--allow', 'lease:mail', '--sqs'), {
    code: 2,
    stderr: /HOLDFAST_SIGNING_SECRET_FILE/
  })
  t.equal((await admin.get('/keys')).body.keys.length, 1)
  t.match((await run('list')).stdout, new RegExp(`${id}  mail worker  lease:mail browse:m\\*`))
  const nightly = { queue: 'mail', cron: '@daily', body: 1 }
  await admin.call('PUT', '/schedules/nightly', nightly)
  const sql = new pg.Client(holdfast.databaseUrl)
  await sql.connect()
  await sql.query('update holdfast.schedules set owner_id = $1', [id])
  await sql.end()
  t.match(
    (await run('revoke', id)).stderr,
    /is revoked.*\nIts schedules that go on firing: nightly\n.*revoke [0-9a-f]+ --pause-schedules/
  )
  t.match((await run('revoke', id, '--pause-schedules')).stderr, /schedules that are paused: nightly\n/)
  t.match((await admin.get('/schedules/nightly')).body, { paused: true })
  t.equal((await admin.get('/keys')).body.keys.length, 0)
  await Promise.all([
    t.rejects(run('revoke', id), { code: 1, stderr: /There is no key/ }),
    t.rejects(run('burn'), { code: 2, stderr: /holdfast keys create NAME/ })
  ])
  const wrong: [string[], RegExp][] = [
    [['create', 'x', '--allow', 'steal:*'], /is not a right.* browse or manage,.* publish or subscribe/],
    [['create', 'x', '--allow', 'admin', '--requests-per-second', '0'], /--requests-per-second must be/],
    [['create', 'mail', 'worker'], /in quotes/],
    [['create', 'ops\u202e', '--allow', 'admin'], /invisible/]
  ]
  for (const [args, message] of wrong) {
    const call = {
      ...readCall('keys', keys, args),
      config: () => readConfig({ HOLDFAST_DATABASE_URL: holdfast.databaseUrl }),
      variable: () => undefined,
      say: () => {}
    }
    await t.rejects(
      async () => await keys.run(call),
      Object.assign(new UsageError(), { message }),
      args.join(' ')
    )
  }
  t.match(await admin.post('/keys', { name: 'x', rights: ['lease:mail', 'lease:'] }), {
    status: 400,
    body: { errors: [{ pointer: '/rights/1' }] }
  })
})

t.test('the first key on the command line is an admin key, unless one is given in a file', async t => {
  const { url } = await freshDatabase(t)
  const run = (right: string, env: Record<string, string> = {}) =>
    promisify(execFile)(process.execPath, ['bin/holdfast.mjs', 'keys', 'create', 'x', '--allow', right], {
      env: { PATH: process.env.PATH, HOLDFAST_DATABASE_URL: url, ...env }
    })
  await t.rejects(run('browse:*'), { code: 1, stderr: /the first one must have the right admin/ })
  t.match((await run('browse:*', { HOLDFAST_ADMIN_KEY_FILE: '/elsewhere/admin.key' })).stdout, /^hf_/)
  const other = { HOLDFAST_DATABASE_URL: (await freshDatabase(t)).url }
  t.match((await run('admin', other)).stdout, /^hf_/)
  t.match((await run('browse:*', other)).stdout, /^hf_/)
})
