/** A URL with several hosts: connections go to the one that takes writes, wherever it is. */
import t, { type Test } from 'tap'
import { readConfig } from '../../src/config.ts'
import { judge } from '../../src/cli/doctor/judge.ts'
import type { Target } from '../../src/store/hosts.ts'
import { gatherFacts, type Facts } from '../../src/store/setup/doctor.ts'
import { connect, readTarget } from '../../src/store/setup/connect.ts'
import { Proxy } from '../faultbench/proxy.ts'
import { load } from '../faults/setup.ts'
import { makeSynchronous, startPair, untilTrue, type Server } from '../support/servers.ts'
import { service } from '../support/service.ts'
import { freePort, tcpServer } from '../support/tcpServer.ts'

const setting = 'HOLDFAST_DATABASE_URL'

/** The port of the server that a connection by this url leads to, or why there is none. */
async function reach(url: string): Promise<number | string> {
  try {
    const client = await connect(await readTarget(url, setting), 'test')
    const { rows } = await client.query<{ port: number }>("select current_setting('port')::int as port")
    await client.end()
    return rows[0]!.port
  } catch (error) {
    return (error as Error).message
  }
}

/** What the doctor says of one subject. */
async function check(target: Target, name: string, change: (facts: Facts) => Partial<Facts> = () => ({})) {
  const facts = await gatherFacts(target)
  const surroundings = { replicas: 0, filesMax: null, heldBounds: null }
  const checks = judge({ ...facts, ...change(facts) }, readConfig({}), surroundings)
  return checks.find(each => each.name === name)
}

/** Waits until a server has been asked twice since now. */
async function searches(t: Test, server: Server): Promise<() => Promise<void>> {
  const session = await server.connect()
  t.teardown(() => session.end())
  const sessions = async () => {
    const { rows } = await session.query(
      'select sessions::int from pg_stat_database where datname = current_database()'
    )
    return rows[0].sessions as number
  }
  const before = await sessions()
  return async () => {
    while ((await sessions()) < before + 2);
  }
}

const otherSystem = (host: Facts['hosts'][number]) => ({ ...host, facts: { ...host.facts!, system: '1' } })

/** Sends messages without a pause. Each answer is noted with its time. */
function sendOn(t: Test, { post }: Awaited<ReturnType<typeof service>>) {
  const answers: { atMs: number; status: number; code: string | undefined }[] = []
  const over = new AbortController()
  const sending = [1, 2, 3, 4].map(async () => {
    while (!over.signal.aborted) {
      const { status, body } = await post('/queues/mail/messages', { body: 1 })
      answers.push({ atMs: performance.now(), status, code: body?.code })
    }
  })
  t.teardown(async () => {
    over.abort()
    await Promise.all(sending)
  })
  return {
    answers,
    /** Milliseconds until the first message that was stored after now. */
    async untilStored(sinceMs = performance.now()): Promise<number> {
      for (;;) {
        const stored = answers.find(({ atMs, status }) => atMs > sinceMs && status === 201)
        if (stored !== undefined) return stored.atMs - sinceMs
        await new Promise(resolve => {
          setTimeout(resolve, 5)
        })
      }
    }
  }
}

t.test('a connection leads to the host that takes writes, whatever the order of the list', async t => {
  const { servers, url } = await startPair(t)
  const [primary, standby] = servers
  const nobody = await freePort()
  const at = ({ port }: { port: number }) => `127.0.0.1:${port}`
  const list = (...hosts: { port: number }[]) => `postgresql://holdfast@${hosts.map(at).join(',')}/postgres`
  t.equal(await reach(url()), primary.port)
  t.equal(await reach(list(standby, primary)), primary.port)
  t.equal(await reach(list({ port: nobody }, standby, primary)), primary.port)
  for (const role of ['any', 'read-write', 'primary']) {
    t.equal(await reach(`${list(standby, primary)}?target_session_attrs=${role}`), primary.port, role)
  }
  const ports = `port=${standby.port},${primary.port}`
  t.equal(await reach(`postgresql://holdfast@/postgres?host=127.0.0.1,127.0.0.1&${ports}`), primary.port)
  t.equal(await reach(`postgresql://holdfast@127.0.0.1,127.0.0.1/postgres?${ports}`), primary.port)
  t.equal(await reach(`${list(standby, primary)}?sslmode=prefer`), primary.port, 'without TLS at the server')

  t.match(
    await reach(list(standby, { port: nobody })),
    new RegExp(
      `^No host of HOLDFAST_DATABASE_URL takes writes: ${at(standby)} is a standby; ` +
        `${at({ port: nobody })} cannot be reached .*ECONNREFUSED.* Start the primary, or promote a standby`
    )
  )
  await primary.set('default_transaction_read_only', 'on')
  t.match(await reach(url()), new RegExp(`${at(primary)} takes no writes; ${at(standby)} is a standby`))
  t.equal(await reach(url('?target_session_attrs=primary')), primary.port)
})

t.test('a host that freezes costs no wait where another takes writes', async t => {
  const { servers } = await startPair(t)
  const [primary, standby] = servers
  const list = `postgresql://holdfast@127.0.0.1:${standby.port},127.0.0.1:${primary.port}/postgres`
  await standby.signal('SIGSTOP')
  const startedMs = performance.now()
  t.equal(await reach(list), primary.port)
  t.ok(performance.now() - startedMs < 2500, `${performance.now() - startedMs} ms`)
  await primary.signal('SIGSTOP')
  const alsoMs = performance.now()
  t.match(await reach(`${list}?connect_timeout=1`), /cannot be reached \(no answer in time\)/)
  t.ok(performance.now() - alsoMs < 2500, 'within the connect_timeout')
})

for (const how of ['SIGKILL', 'SIGSTOP'] as const) {
  t.test(`the service follows a promotion after a ${how} of the primary`, async t => {
    const { servers, url } = await startPair(t)
    const [primary, standby] = servers as [Server, Server]
    const holdfast = await service(t, { database: { url: url() } })
    const { untilStored, answers } = sendOn(t, holdfast)
    await untilStored()
    const isSearched = await searches(t, standby)
    await primary.signal(how)
    await isSearched()
    await standby.promote()
    const tookMs = await untilStored()
    t.ok(tookMs < 1500, `served again after ${Math.round(tookMs)} ms`)
    const refusals = new Set(answers.flatMap(({ code }) => code ?? []))
    for (const code of refusals) t.match(code, /^(databaseUnavailable|outcomeUnknown|overloaded)$/)
    await holdfast.call('PUT', '/queues/later', {})
    const waiting = holdfast.post('/queues/later/lease', { waitSeconds: 10 })
    await holdfast.post('/queues/later/messages', { body: 1 })
    t.equal((await waiting).body.messages.length, 1)
    await untilTrue(
      standby,
      `select count(distinct application_name) = 3
       from pg_stat_activity
       where application_name in ('holdfast', 'holdfast listener', 'holdfast watch')`
    )

    // The old primary comes back, and believes that it still is one.
    if (how === 'SIGKILL') await primary.start()
    else await primary.signal('SIGCONT')
    const [{ count }] = await primary.sql("select count(*)::int from pg_stat_activity where state = 'active'")
    t.ok(count > 0, 'it answers')
    const target = await readTarget(url(), setting)
    await connect(target, 'test').then(client => client.end())
    t.match(await check(target, 'hosts'), {
      status: 'bad',
      value: /:\d+ takes writes, timeline 1; .*:\d+ takes writes, timeline 2$/,
      advice: /Stop the one of the lower timeline/
    })
    await standby.stop()
    await t.resolves(untilRefused(holdfast), 'and gets no message')
    t.match(
      await connect(target, 'test').catch(error => error.message),
      /is an old primary: it writes timeline 1/
    )
  })
}

async function untilRefused({ post }: Awaited<ReturnType<typeof service>>): Promise<void> {
  for (const startedMs = performance.now(); performance.now() < startedMs + 2000;) {
    const { status } = await post('/queues/mail/messages', { body: 1 })
    if (status === 201) throw new Error('the old primary has stored a message')
  }
}

t.test(
  'a primary that the network cuts off is left, and what it answers late counts for nothing',
  async t => {
    const { servers } = await startPair(t)
    const [primary, standby] = servers
    await makeSynchronous(primary)
    const network = new Proxy()
    network.target = { host: '127.0.0.1', port: primary.port }
    const port = await network.listen()
    t.teardown(() => network.close())
    const url = `postgresql://holdfast@127.0.0.1:${port},127.0.0.1:${standby.port}/postgres`
    const holdfast = await service(t, { database: { url } })
    const running = load(holdfast, 'mail')
    await running.reaching(300)
    const isSearched = await searches(t, standby)
    const heal = network.silence({ alsoNew: true })
    await isSearched()
    await standby.promote()
    const startedMs = performance.now()
    await running.reaching(running.confirmed.length + 1)
    const tookMs = Math.round(performance.now() - startedMs)
    t.comment(`served again ${tookMs} ms after the promotion`)
    t.ok(tookMs < 1500, `served again after ${tookMs} ms`)

    // The old primary stores what it has been asked before, and answers.
    await primary.set('synchronous_standby_names', '')
    heal()
    await running.reaching(running.confirmed.length + 300)
    await running.stop()
    const [{ stored }] = await primary.sql('select count(*)::int as stored from holdfast.messages')
    t.ok(stored > 0, 'it answers')
    await running.kept(t, `postgresql://holdfast@127.0.0.1:${standby.port}/postgres`)
  }
)

t.test('a primary that turns read-only is left within a second', async t => {
  const { servers, url } = await startPair(t)
  const [primary] = servers
  const holdfast = await service(t, { database: { url: url() } })
  const { untilStored } = sendOn(t, holdfast)
  await untilStored()
  const count = async () => {
    const [{ open }] = await primary.sql(`
      select count(*)::int as open
      from pg_stat_activity
      where application_name in ('holdfast', 'holdfast listener', 'holdfast watch')`)
    return open as number
  }
  t.ok((await count()) > 2)
  await primary.set('default_transaction_read_only', 'on')
  const startedMs = performance.now()
  while ((await count()) > 0 && performance.now() < startedMs + 5000);
  t.ok(performance.now() - startedMs < 1000, `left after ${Math.round(performance.now() - startedMs)} ms`)
  const { status, body } = await holdfast.post('/queues/mail/messages', { body: 1 })
  t.strictSame([status, body.code], [503, 'databaseUnavailable'])
  await primary.set('default_transaction_read_only', 'off')
  t.ok((await untilStored()) < 1500)
})

t.test('a role that may not read the control file connects without the guard', async t => {
  const { servers, url } = await startPair(t)
  const [primary] = servers
  await primary.sql('create role app login')
  await primary.sql('revoke execute on function pg_control_system() from public')
  t.equal(await reach(url().replace('holdfast@', 'app@')), primary.port)
})

t.test('one host gets no more connections than before', async t => {
  const { servers } = await startPair(t)
  const [primary] = servers
  const single = `postgresql://holdfast@127.0.0.1:${primary.port}/postgres`
  await service(t, { database: { url: single } })
  const [{ watches }] = await primary.sql(`
    select count(*)::int as watches
    from pg_stat_activity
    where application_name in ('holdfast watch', 'holdfast search')`)
  t.equal(watches, 0)
  const target = await readTarget(single, setting)
  t.equal(await check(target, 'hosts'), undefined)
  t.match(await check(target, 'connections'), { value: /\(10 \+ 1\)/ })
})

t.test('the doctor judges the hosts of a list', async t => {
  const { servers, url } = await startPair(t)
  const [primary, standby] = servers
  const target = await readTarget(url(), setting)
  t.match(await check(target, 'hosts'), {
    status: 'ok',
    value: /takes writes, timeline 1; .* is a standby, /
  })
  t.match(await check(target, 'connections'), { value: /\(10 \+ 2\)/ })
  const stranger = await tcpServer(t)
  const mixed = url().replace('@', `@127.0.0.1:${stranger.port},`)
  t.match(
    await reach(mixed),
    new RegExp(`127.0.0.1:${stranger.port} takes writes, and so does another cluster;`)
  )
  t.match(await check(target, 'hosts', ({ hosts: [one, two] }) => ({ hosts: [one!, otherSystem(two!)] })), {
    status: 'bad',
    advice: /not copies of one cluster/
  })
  await standby.stop()
  t.match(await check(target, 'hosts'), { status: 'warning', value: /gives no answer \(.*ECONNREFUSED/ })
  t.equal(await reach(url()), primary.port)
})

t.test('a list that cannot work is refused with a sentence, and without its password', t => {
  const faults: [string, RegExp][] = [
    [
      'postgresql://u:secret@a,b/db?target_session_attrs=standby',
      /has target_session_attrs=standby, and Holdfast needs a host that takes writes\. Set it to read-write/
    ],
    ['postgresql://u:secret@a,b/db?target_session_attrs=read-only', /needs a host that takes writes/],
    ['postgresql://u:secret@a,b/db?target_session_attrs=prefer-standby', /needs a host that takes writes/],
    ['postgresql://u:secret@a/db?target_session_attrs=standby', /needs a host that takes writes/],
    ['postgresql://u:secret@a,/db', /has a host without a name in its list/],
    ['postgresql://u:secret@a,b,c/db?port=1,2', /has 3 hosts and 2 ports/],
    ['postgresql://u:secret@a:1,b:port/db', /cannot be read as a URL/],
    ['postgresql://u:se/cret@a,b/db', /percent-encode/],
    ['postgresql://u:secret@a,b/db?connect_timeout=soon', /has a connect_timeout that is no whole number/]
  ]
  for (const [url, message] of faults) {
    for (const name of ['HOLDFAST_DATABASE_URL', 'HOLDFAST_LISTEN_URL']) {
      let said = 'nothing'
      try {
        readConfig({ [name]: url })
      } catch (error) {
        said = (error as Error).message
      }
      t.match(said, message, url)
      t.match(said, new RegExp(`^${name} [^\\n]+\\.$`))
      t.notMatch(said, /cret/)
    }
  }
  for (const url of [
    'postgres://h1:5432,h2:5432/db?target_session_attrs=read-write',
    'postgresql://u:p%40@[::1]:5432,[::2]:5433/db',
    'postgresql:///db?host=/tmp/a,/tmp/b&port=5432'
  ]) {
    t.equal(readConfig({ HOLDFAST_DATABASE_URL: url }).databaseUrl, url)
  }
  t.end()
})
