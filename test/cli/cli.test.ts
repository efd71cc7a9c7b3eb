/**
 * The command line: what it prints, its exit codes, and holdfast doctor on databases broken on
 * purpose.
 */
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import pg from 'pg'
import t, { type Test } from 'tap'
import { readCall, UsageError } from '../../src/cli/command.ts'
import { doctor as doctorCommand } from '../../src/cli/doctor.ts'
import { judge } from '../../src/cli/doctor/judge.ts'
import { readConfig } from '../../src/config.ts'
import { gatherFacts } from '../../src/store/setup/doctor.ts'
import { startEmbedded } from '../../src/store/setup/embedded.ts'
import { pollPause } from '../support/pollPause.ts'
import { freshDatabase, freshServer } from '../support/postgres.ts'
import { service, serviceProcess } from '../support/service.ts'

interface Ended {
  code: number
  stdout: string
  stderr: string
}

function run(args: string[], env: Record<string, string> = {}): Promise<Ended> {
  return new Promise(resolve => {
    execFile(
      process.execPath,
      ['bin/holdfast.mjs', ...args],
      { env: { PATH: process.env.PATH, ...env } },
      (error, stdout, stderr) =>
        resolve({ code: error === null ? 0 : (error.code as unknown as number), stdout, stderr })
    )
  })
}

async function connect(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client(url)
  client.on('error', () => {})
  await client.connect()
  t.teardown(() => client.end())
  return client
}

/** The doctor's checks by name. Of several checks with one name, the worst. */
async function doctor(
  env: Record<string, string>,
  ...flags: string[]
): Promise<{ code: number; checks: Record<string, { status: string; value: string; advice?: string }> }> {
  let said = ''
  const code = await doctorCommand.run({
    ...readCall('doctor', doctorCommand, ['--json', ...flags]),
    config: () => readConfig(env),
    variable: () => undefined,
    say: line => {
      said += line
    }
  })
  return { code: Number(code), checks: byName(JSON.parse(said).checks) }
}

function byName(checks: { name: string; status: string; value: string; advice?: string }[]) {
  return Object.fromEntries(
    checks
      .sort((a, b) => ['ok', 'warning', 'bad'].indexOf(a.status) - ['ok', 'warning', 'bad'].indexOf(b.status))
      .map(check => [check.name, check])
  )
}

t.test(
  'each command has help; an unknown word is refused with exit code 2 and the nearest known word',
  async t => {
    const [all, version, help] = await Promise.all([
      run(['help']),
      run(['--version']),
      run(['bench', '--help'])
    ])
    t.equal(all.code, 0)
    for (const name of ['serve', 'migrate', 'keys', 'doctor', 'bench', 'openapi', 'HOLDFAST_DATABASE_URL']) {
      t.match(all.stdout, new RegExp(`^  ${name}`, 'm'))
    }
    t.match(version.stdout, /^\d+\.\d+\.\d+\n$/)
    t.match(help, { code: 0, stdout: /^Usage: holdfast bench \[flags\]\n[^]*^ {2}--callers N /m })
    const wrong: [string[], RegExp, Record<string, string>?][] = [
      [['docter'], /^There is no command docter; did you mean holdfast doctor\? [^\n]*\n$/],
      [['xylophone'], /^There is no command xylophone\. See all with holdfast help\.\n$/],
      [['doctor', '--replcas', '3'], /^There is no flag --replcas; did you mean --replicas\? [^\n]*\n$/],
      [['doctor'], /HOLDFAST_POOL_SIZE must be/, { HOLDFAST_POOL_SIZE: '1' }],
      [
        ['doctor'],
        /^The deployment could not be checked\. The database cannot be reached/,
        { HOLDFAST_DATABASE_URL: 'postgresql://127.0.0.1:1/none' }
      ]
    ]
    await Promise.all(
      wrong.map(async ([args, stderr, env]) =>
        t.match(await run(args, env), { code: 2, stdout: '', stderr }, args.join(' '))
      )
    )
    const refused: [string[], RegExp][] = [
      [['--replicas'], /--replicas takes a value, N/],
      [['--json=yes'], /--json takes no value/],
      [['--replicas', '5', '--replicas', '6'], /--replicas is given twice/],
      [['now'], /takes no now/]
    ]
    for (const [args, message] of refused) {
      t.throws(() => readCall('doctor', doctorCommand, args), Object.assign(new UsageError(), { message }))
    }
    await t.rejects(doctor({}, '--replicas', 'two'), {
      message: /--replicas must be a whole number from 1 to 1000/
    })
    t.match(await run(['migrate'], { HOLDFAST_DATABASE_URL: 'postgresql://127.0.0.1:1/none' }), {
      code: 1,
      stderr: /cannot be reached/
    })
  }
)

t.test('migrate prints what it applied, once, however many run at once', async t => {
  const { url } = await freshDatabase(t, { migrated: false })
  const ended = await Promise.all([1, 2].map(() => run(['migrate'], { HOLDFAST_DATABASE_URL: url })))
  t.strictSame(
    ended.map(({ code }) => code),
    [0, 0]
  )
  t.equal(ended.filter(({ stdout }) => /^0001_[^]*^api\.sql$/m.test(stdout)).length, 1)
  t.equal(ended.filter(({ stdout }) => stdout.startsWith('Nothing to do')).length, 1)
})

t.test('bench measures a running service, and leaves no queue behind', async t => {
  const holdfast = await service(t)
  const [{ code, stdout }, unreachable, refused] = await Promise.all([
    run(['bench', '--url', holdfast.url, '--seconds', '1', '--callers', '4', '--json']),
    run(['bench', '--url', 'http://127.0.0.1:1', '--seconds', '1']),
    run(['bench', '--url', `${holdfast.url}/nowhere`, '--seconds', '1'])
  ])
  t.equal(code, 0)
  const [enqueue, work] = JSON.parse(stdout)
  for (const row of [enqueue, work]) {
    t.ok(
      row.perSecond > 0 && row.messages > 0 && row.p50Ms > 0 && row.p99Ms >= row.p50Ms && row.failed === 0,
      stdout
    )
  }
  t.strictSame((await holdfast.get('/queues')).body.queues, [])
  t.match(
    [unreachable, refused],
    [
      { code: 1, stderr: /cannot be reached/ },
      { code: 1, stderr: /answered 404/ }
    ]
  )
})

t.test('doctor beside a service on its embedded PostgreSQL: nothing is bad', async t => {
  const HOLDFAST_DATA_DIR = t.testdir()
  const { child, ended } = await serviceProcess(t, { HOLDFAST_DATA_DIR })
  const { code, stdout } = await run(['doctor'], { HOLDFAST_DATA_DIR })
  t.equal(code, 0, stdout)
  t.match(stdout, /^ok +PostgreSQL +18\.[^\n]*UTF8/m)
  t.match(stdout, /^ok +connections +1 replica × \(10 \+ 1\) = 11 of 97/m)
  t.match(stdout, /^ok +maintenance +pg-boss schema \d+/m)
  t.match(stdout, /^0 bad, /m)
  t.notMatch(stdout, /\x1b/, 'no colours where there is no terminal') // eslint-disable-line no-control-regex
  child.kill('SIGTERM')
  await ended
})

t.test('doctor finds what was broken on purpose, and says what to do', async t => {
  let server = await freshServer(t)
  await (await connect(t, server.url)).query('alter system set max_prepared_transactions = 2')
  await server.stop()
  server = Object.assign(await startEmbedded(server.dataDir, () => {}), { dataDir: server.dataDir })
  t.teardown(() => server.stop())
  const sql = await connect(t, server.url)
  await sql.query('create role app login; grant create on database holdfast to app')
  const env = { HOLDFAST_DATABASE_URL: server.url.replace('//holdfast@', '//app@') }

  t.match(await doctor(env), {
    code: 0,
    checks: { schema: { status: 'warning', value: 'not created yet', advice: /holdfast migrate/ } }
  })
  t.equal((await run(['migrate'], env)).code, 0)
  t.match(await doctor(env), {
    code: 0,
    checks: {
      schema: { status: 'ok' },
      ownership: { status: 'ok' },
      'oldest snapshot': { value: /grant pg_read_all_stats to app/ },
      keys: { status: 'warning', value: /to this machine only/, advice: /Before you put one in front/ }
    }
  })

  await sql.query(`
    alter role app set synchronous_commit = off;
    alter database holdfast set synchronous_commit = local;
    alter role app connection limit 8;
    alter table holdfast.ledger owner to holdfast;
    grant select on all tables in schema holdfast to app;
    update holdfast.migrations set hash = 'x' where name like '0001%'`)
  await sql.query('alter table holdfast.history set (autovacuum_enabled = off)')
  await sql.query(`
    insert into holdfast.history (ended_at, message_id, fence, queue_id, attempt, outcome)
    select now(), i, 1, 1, 1, 'failed'
    from generate_series(1, 60000) i`)
  await sql.query('delete from holdfast.history')
  await sql.query("begin; create table public.held (); prepare transaction 'left behind'")
  await sql.query('select pg_stat_force_next_flush()')
  const found = await doctor({
    ...env,
    HOLDFAST_HOST: '0.0.0.0',
    HOLDFAST_CONNECTIONS_MAX: '1000000',
    HOLDFAST_LISTEN_URL: 'postgresql://127.0.0.1:1/none'
  })
  t.equal(found.code, 1)
  t.match(found.checks, {
    synchronous_commit: {
      status: 'warning',
      value: /^off \(user\), off for role app, local for every role in holdfast$/,
      advice: /alter role app set synchronous_commit = on;/
    },
    connections: { status: 'bad', value: /11 of 8/, advice: /HOLDFAST_POOL_SIZE to 7/ },
    'listener (HOLDFAST_LISTEN_URL)': { status: 'bad', value: /ECONNREFUSED/ },
    schema: { status: 'bad', value: /0001_queues_and_messages\.sql differs/ },
    ownership: {
      status: 'bad',
      value: 'app does not own ledger',
      advice: 'alter table holdfast.ledger owner to app;'
    },
    'dead rows': {
      status: 'warning',
      value: /^history: 60,000 beside 0 live, never vacuumed$/,
      advice: /vacuum holdfast\.history;/
    },
    keys: { status: 'bad', advice: /holdfast keys create/ },
    'open files': { status: 'warning', advice: /ulimit -n 1048576/ }
  })
  t.match((await gatherFacts({ connectionString: server.url })).holders, [
    { kind: 'prepared transaction', name: 'left behind', user: 'holdfast' }
  ])
  t.match((await doctor(env, '--replicas', '40')).checks.connections, {
    status: 'bad',
    value: /^40 replicas × \(10 \+ 1\) = 440/
  })
  t.match((await doctor({ ...env, HOLDFAST_PROCESSES: '4' }, '--replicas', '2')).checks.connections, {
    value: /^2 replicas × \(24 \+ 4\) = 56 of 8/
  })

  for (const setting of ['fsync', 'autovacuum']) await sql.query(`alter system set ${setting} = off`)
  await sql.query("alter system set synchronous_standby_names = 'elsewhere'")
  await sql.query('select pg_reload_conf()')
  while ((await sql.query('show synchronous_standby_names')).rows[0].synchronous_standby_names === '') {
    await pollPause()
  }
  t.match(await doctor({ HOLDFAST_DATABASE_URL: server.url }), {
    code: 1,
    checks: {
      fsync: { status: 'bad', advice: /alter system set fsync = on/ },
      full_page_writes: { status: 'ok' },
      autovacuum: { status: 'warning' },
      standbys: { status: 'bad', value: /'elsewhere'/ }
    }
  })
})

t.test('doctor finds a slot whose standby cannot catch up any more', async t => {
  const server = await freshServer(t)
  const sql = await connect(t, server.url)
  await sql.query("select pg_create_physical_replication_slot('left', true)")
  await sql.query("alter system set max_slot_wal_keep_size = '1MB'")
  await sql.query('select pg_reload_conf()')
  while ((await sql.query('show max_slot_wal_keep_size')).rows[0].max_slot_wal_keep_size !== '1MB') {
    await pollPause()
  }
  for (let segment = 0; segment < 4; segment++) {
    await sql.query('create table filler (); drop table filler')
    await sql.query('select pg_switch_wal()')
  }
  await sql.query('checkpoint')
  const { code, checks } = await doctor({ HOLDFAST_DATABASE_URL: server.url })
  t.equal(code, 1)
  t.match(checks['replication slot'], {
    status: 'bad',
    value: 'left is lost: WAL that its reader needs was removed',
    advice: /pg_drop_replication_slot\('left'\)/
  })
})

t.test(
  'doctor names the session or prepared transaction with the oldest snapshot, and a slot that keeps WAL',
  async t => {
    const { url, config, name } = await freshDatabase(t)
    const holder = await connect(t, `${url}${url.includes('?') ? '&' : '?'}application_name=report`)
    const {
      rows: [{ pid }]
    } = await holder
      .query('begin isolation level repeatable read; select pg_backend_pid() as pid')
      .then((results: any) => results.at(-1))
    const facts = await gatherFacts(config)
    const [held] = facts.holders
    t.match(held, {
      kind: 'session',
      name: String(pid),
      user: 'holdfast',
      application: 'report',
      state: 'idle in transaction'
    })
    t.ok(held!.ageSeconds! >= 0 && held!.ageSeconds! < 60)
    const settings = readConfig({})
    const found = (change: Partial<typeof facts>) =>
      byName(judge({ ...facts, ...change }, settings, { replicas: 0, filesMax: null, heldBounds: null }))
    t.equal(found({})['oldest snapshot']!.status, 'ok', 'a young snapshot is fine')
    // Made older than it is.
    t.match(found({ holders: [{ ...held!, ageSeconds: 61 }] })['oldest snapshot'], {
      status: 'warning',
      value: `session ${pid} (of holdfast, report, idle in transaction), for 61 s`,
      advice:
        'Until it ends, no dead rows are removed and the tables grow. End its transaction, or run: ' +
        `select pg_terminate_backend(${pid});`
    })
    t.equal(found({ holders: [{ ...held!, ageSeconds: 3601 }] })['oldest snapshot']!.status, 'bad')
    const prepared = { ...held!, kind: 'prepared transaction' as const, name: "it's", ageSeconds: 7200 }
    t.match(found({ holders: [prepared] })['oldest snapshot'], {
      status: 'bad',
      advice: /rollback prepared 'it''s';/
    })
    t.match(
      found({ slots: [{ name: 'old', active: false, bytes: 2 ** 31, lost: false }] })['replication slot'],
      {
        status: 'bad',
        value: /2\.0 GiB/,
        advice: /pg_drop_replication_slot\('old'\)/
      }
    )
    const several = { ...settings, processes: 4, poolSize: 16 }
    const running = { ...facts, server: { ...facts.server, listeners: 8 } }
    t.match(byName(judge(running, several, { replicas: 0, filesMax: null, heldBounds: null })).connections, {
      value: /^2 replicas × \(16 \+ 4\) = 40 of/
    })
    const server = { ...facts.server, syncStandbys: 'far' }
    const standby = { name: 'far', sync: 'sync', behindBytes: 100 * 2 ** 20 }
    t.match(found({ server, standbys: [standby] }).standbys, {
      status: 'warning',
      value: /far is 100\.0 MiB behind/
    })
    t.equal(found({ server, standbys: [{ ...standby, behindBytes: null }] }).standbys!.status, 'ok')
    const pooling = { pooling: 'transaction' as const, refusal: null, advice: 'Set them on the role.' }
    t.match(found({ pooling, overrides: [{ role: 'app', database: null, value: 'off' }] }), {
      pooler: { status: 'warning', value: /transaction mode/, advice: 'Set them on the role.' },
      synchronous_commit: { status: 'bad' }
    })
    t.match(found({ clock: { aheadMs: -5000, uncertainMs: 2 } }).clock, {
      status: 'warning',
      value: /5000 ms behind/
    })
    t.equal(facts.server.database, name)
  }
)

t.test('a command whose reader has gone ends quietly', async t => {
  const command = spawn(process.execPath, ['bin/holdfast.mjs', 'help'], { env: { PATH: process.env.PATH } })
  command.stdout.destroy()
  let stderr = ''
  command.stderr.on('data', data => {
    stderr += data
  })
  t.strictSame(await once(command, 'close'), [0, null])
  t.equal(stderr, '')
})
