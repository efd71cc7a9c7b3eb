/** The faults: how each is injected and how it ends. */
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { post, type Cluster } from './cluster.ts'
import type { Mood } from './endpoint.ts'
import type { EndpointProcess } from './endpointProcess.ts'
import { commit, commitReply, httpAnswer, type Swallow } from './proxy.ts'
import type { Random } from './random.ts'

export interface Stage {
  cluster: Cluster
  /** Where pushes go. */
  endpoint: EndpointProcess
  dice: Random
  /** The workload that may be stopped. */
  spare: ChildProcess
  /** The folder with the source of the service. */
  root: string
  /** Reports what is wrong and only this fault can see. */
  odd: (what: string) => void
  /** Checks that an enqueue and a lease at each replica succeed in time while the fault lasts. */
  serves: () => Promise<void>
}

export interface Fault {
  what: string
  /** Injects it, and returns what heals it. A string says why it is impossible on this machine. */
  inject: (stage: Stage) => Promise<(() => unknown) | string>
  /** A first enqueue is confirmed within this time of the fault's end. */
  confirmsMsMax?: number
  /** Needs a standby, and so a run without the other faults. */
  paired?: true
}

const lastsMs = 3000
const longerThanLeasesMs = 4000
const everyMs = 200
/** One way to PostgreSQL, and one way to callers. */
const slowMs = { database: 150, front: 50 }
/** As long as a tool takes to decide on a promotion, or less. */
const decidesMs = 1000
const healsItself = () => {}

export const faults: Record<string, Fault> = {
  'replica-kill': {
    what: 'kill -9 of a replica in mid-batch; it is started again a second later',
    async inject({ cluster, dice }) {
      const replica = dice.pick(cluster.replicas)
      await replica.end('SIGKILL')
      await pause(1000)
      return () => replica.start()
    }
  },
  'replica-stop': {
    what: 'SIGSTOP of a replica for longer than the leases it gave',
    async inject({ cluster, dice }) {
      const replica = dice.pick(cluster.replicas)
      replica.signal('SIGSTOP')
      await pause(longerThanLeasesMs)
      return () => replica.signal('SIGCONT')
    }
  },
  'consumer-stop': {
    what: 'SIGSTOP of consumers for longer than their leases; then they ack all the same',
    async inject({ spare }) {
      spare.kill('SIGSTOP')
      await pause(longerThanLeasesMs)
      return () => spare.kill('SIGCONT')
    }
  },
  'backend-kill': {
    what: 'kill -9 of one backend; PostgreSQL then ends all sessions and recovers',
    async inject({ cluster }) {
      const [{ pid }] = (await cluster.sql(`
        select pid
        from pg_stat_activity
        where application_name = 'holdfast'
        order by random()
        limit 1`)) as [{ pid: number }]
      process.kill(pid, 'SIGKILL')
      return healsItself
    }
  },
  'postgres-kill': {
    what: 'kill -9 of the postmaster',
    async inject({ cluster }) {
      process.kill(cluster.postgres.pid, 'SIGKILL')
      return healsItself
    }
  },
  terminate: {
    what: 'pg_terminate_backend of two sessions of the service, five times a second',
    async inject({ cluster }) {
      await again(() =>
        cluster.sql(`
          select pg_terminate_backend(pid)
          from (
            select pid
            from pg_stat_activity
            where application_name = 'holdfast'
            order by random()
            limit 2
          ) s`)
      )
      return healsItself
    }
  },
  'commit-cut': {
    what: 'one commit in ten never arrives at PostgreSQL, and its connection is reset',
    inject: stage =>
      swallowing(
        stage,
        'database',
        commit(() => stage.dice.chance(0.1))
      )
  },
  'commit-reply-cut': {
    what: 'the reply to one commit in ten is lost, and its connection reset',
    inject: stage =>
      swallowing(
        stage,
        'database',
        commitReply(() => stage.dice.chance(0.1))
      )
  },
  'answer-lost': {
    what: 'the HTTP answer to one call in five is lost after the commit',
    inject: stage =>
      swallowing(
        stage,
        'front',
        httpAnswer(() => stage.dice.chance(0.2))
      )
  },
  'half-open': {
    what:
      'nothing passes any more on the connections to PostgreSQL, and no side is told; ' +
      'new connections work',
    async inject({ cluster }) {
      for (const { database } of cluster.replicas) database.silence()
      return healsItself
    }
  },
  'callers-silent': {
    what: 'nothing passes on the connections of callers; then they are reset',
    async inject({ cluster }) {
      for (const { front } of cluster.replicas) front.silence()
      await pause(lastsMs)
      return () => {
        for (const { front } of cluster.replicas) front.reset()
      }
    }
  },
  slow: {
    what: `${slowMs.database} ms each way to PostgreSQL, ${slowMs.front} ms to callers`,
    async inject(stage) {
      const set = (delays: typeof slowMs) => {
        for (const { database, front } of stage.cluster.replicas) {
          database.delayMs = delays.database
          front.delayMs = delays.front
        }
      }
      set(slowMs)
      await Promise.all([stage.serves(), pause(lastsMs)])
      return () => set({ database: 0, front: 0 })
    }
  },
  'reset-all': {
    what:
      'all connections are reset at once, five times, ' +
      'with 50 ms worth of packets on their way to PostgreSQL',
    async inject({ cluster }) {
      const proxies = cluster.replicas.flatMap(({ database, front }) => [database, front])
      for (const { database } of cluster.replicas) database.delayMs = 50
      for (let time = 0; time < 5; time++) {
        await pause(600)
        for (const proxy of proxies) proxy.reset()
      }
      return () => {
        for (const proxy of proxies) proxy.delayMs = 0
      }
    }
  },
  'listener-kill': {
    what: 'the listening sessions are terminated five times a second; service must go on',
    async inject(stage) {
      await Promise.all([
        again(() =>
          stage.cluster.sql(`
            select pg_terminate_backend(pid)
            from pg_stat_activity
            where application_name = 'holdfast listener'`)
        ),
        stage.serves()
      ])
      return healsItself
    }
  },
  'listener-silent': {
    what: 'the listening connections go silent, and no side is told; service must go on',
    async inject(stage) {
      for (const { database } of stage.cluster.replicas) database.silence({ listenersOnly: true })
      await stage.serves()
      return healsItself
    }
  },
  'pool-exhausted': {
    what: 'a stranger locks 100 rows that 100 callers want to ack; service must go on for others',
    async inject(stage) {
      const { replicas, connect } = stage.cluster
      const at = (index: number) => `${replicas[index % replicas.length]!.url}/queues/aside`
      await insist(`${at(0)}/messages`, { messages: Array.from({ length: 100 }, (_, body) => ({ body })) })
      const { messages } = await insist(`${at(1)}/lease`, { max: 100, leaseSeconds: 60 })
      const stranger = await connect()
      await stranger.query('begin')
      await stranger.query(`
        select from holdfast.messages
        where queue_id = (select id from holdfast.queues where name = 'aside')
        for update`)
      const acks = Promise.all(
        messages.map(({ receipt }: any, index: number) => post(`${at(index)}/ack`, { receipt }))
      )
      await Promise.all([stage.serves(), pause(lastsMs)])
      return async () => {
        await stranger.query('rollback')
        await stranger.end()
        await acks
        await insist(`${at(0)}/ack`, { receipts: messages.map(({ receipt }: any) => receipt) })
      }
    }
  },
  'sweep-20k': {
    what: '20,000 leases end together, and two replicas sweep them up; service must go on',
    async inject(stage) {
      const { replicas, sql } = stage.cluster
      const at = (index: number) => `${replicas[index % replicas.length]!.url}/queues/swept`
      const ofQueue = `queue_id = (select id from holdfast.queues where name = 'swept')`
      const thousands = [...Array(20).keys()]
      await Promise.all(
        thousands.map(index =>
          insist(`${at(index)}/messages`, { messages: Array.from({ length: 1000 }, (_, body) => ({ body })) })
        )
      )
      // Leases of a few seconds would end before the last of them begins on a slow machine.
      const leased = await Promise.all(
        thousands.map(index => insist(`${at(index)}/lease`, { max: 1000, leaseSeconds: 600 }))
      )
      const held = leased.reduce((sum, { messages }) => sum + messages.length, 0)
      if (held !== 20_000) stage.odd(`20 leases of 1,000 messages got ${held}`)
      await sql(`
        with ended as (
          update holdfast.leases
          set ends_at = clock_timestamp()
          where ${ofQueue}
        )
        update holdfast.messages
        set leased_until = clock_timestamp()
        where ${ofQueue}`)
      await stage.serves()
      const count = async () =>
        (
          await sql(`
            select
              count(*)::int as all,
              count(*) filter (
                where leased_until is null
                  and fence = 1
                  and attempt = 1
                  and exists (
                    select from holdfast.history h
                    where h.queue_id = m.queue_id
                      and h.message_id = m.id
                      and h.outcome = 'expired'
                      and h.attempt = 1
                  )
              )::int as swept
            from holdfast.messages m
            where ${ofQueue}`)
        )[0]!
      let counted = await count()
      for (
        const untilMs = Date.now() + 10_000;
        counted.swept < 20_000 && Date.now() < untilMs;
        counted = await count()
      ) {
        await pause(100)
      }
      if (counted.swept !== 20_000 || counted.all !== 20_000) {
        stage.odd(
          `of 20,000 leases that ended ${counted.swept} were swept up once, ` +
            `as one failed attempt on record; there are ${counted.all} messages`
        )
      }
      return () => insist(`${at(0)}/purge`, {})
    }
  },
  'rolling-term': {
    what: 'SIGTERM of one replica after the other under 100 waiting calls',
    async inject({ cluster, odd }) {
      const waiting = [...Array(100).keys()].map(index =>
        post(`${cluster.replicas[index % 2]!.url}/queues/quiet/lease`, { waitSeconds: 30 })
      )
      for (const replica of cluster.replicas) {
        await pause(500)
        const code = await replica.end('SIGTERM')
        if (code !== 0) odd(`replica ${replica.name} ended with ${code} upon SIGTERM`)
        await replica.start()
      }
      const unanswered = (await Promise.all(waiting)).filter(answer => answer?.messages?.length !== 0).length
      if (unanswered > 0) odd(`${unanswered} of 100 waiting calls got no empty list when their replica ended`)
      return healsItself
    }
  },
  'clock-off': {
    what: "one replica's clock is an hour ahead, the other's an hour behind; service must go on",
    async inject(stage) {
      const restart = async (env: (index: number) => Record<string, string>) => {
        for (const [index, replica] of stage.cluster.replicas.entries()) {
          await replica.end('SIGTERM')
          await replica.start(env(index))
        }
      }
      await restart(index => ({
        NODE_OPTIONS: `--import=${new URL('clock.ts', import.meta.url)}`,
        HOLDFAST_TEST_CLOCK_MS: ['3600000', '-3600000'][index]!
      }))
      await Promise.all([stage.serves(), pause(lastsMs)])
      return () => restart(() => ({}))
    }
  },
  'read-only': {
    what: 'the database takes no writes for a while, as after a failover to the wrong side',
    async inject({ cluster }) {
      const set = async (change: string) => {
        await cluster.sql(`alter system ${change}`)
        await cluster.sql('select pg_reload_conf()')
      }
      await set('set default_transaction_read_only = on')
      await pause(lastsMs)
      return () => set('reset default_transaction_read_only')
    }
  },
  failover: {
    what:
      'the primary is killed and frozen in turn, and its synchronous standby is promoted; ' +
      'then the old primary comes back',
    paired: true,
    confirmsMsMax: 1500,
    async inject({ cluster: { pair } }) {
      await pair!.prepare()
      await pair!.strike()
      await pause(decidesMs)
      await pair!.promote()
      return healsItself
    }
  },
  'disk-full': {
    what: 'the disk under PostgreSQL is full, the log included, until PostgreSQL ends',
    async inject({ cluster }) {
      if (cluster.fillDisk === null) {
        return 'no small file system could be mounted (mount -t tmpfs)'
      }
      const free = await cluster.fillDisk()
      const session = await cluster.connect().catch(() => null)
      // Uses up the log segments that PostgreSQL keeps ready, so that the next one needs new room.
      for (let segment = 0; segment < 6; segment++) {
        await session
          ?.query("select pg_switch_wal() from pg_logical_emit_message(true, 'bench', 'x')")
          .catch(() => {})
      }
      session?.end().catch(() => {})
      await pause(lastsMs)
      return free
    }
  },
  'endpoint-kill': {
    what: 'kill -9 of the endpoint of the pushes; it is started again three seconds later',
    async inject({ endpoint }) {
      await endpoint.kill()
      await pause(lastsMs)
      return () => endpoint.start()
    }
  },
  'endpoint-hangs': {
    what: 'the endpoint of the pushes answers no request; service must go on',
    inject: stage => whileEndpoint(stage, 'hangs')
  },
  'endpoint-fails': {
    what: 'the endpoint of the pushes answers each request with a 500; service must go on',
    inject: stage => whileEndpoint(stage, 'fails')
  },
  migration: {
    what:
      'the SQL functions are applied anew by three at once, and a column comes and goes; ' +
      'service must go on',
    async inject(stage) {
      const { sql, connect, postgres } = stage.cluster
      const { migrate } = (await import(
        pathToFileURL(join(stage.root, 'src/store/setup/migrate.ts')).href
      )) as typeof import('../../src/store/setup/migrate.ts')
      await sql("update holdfast.migrations set hash = '' where name = 'api.sql'")
      const session = await connect()
      await session.query('set lock_timeout = 1000')
      await Promise.all([
        stage.serves(),
        ...Array.from({ length: 3 }, () => migrate(postgres.config)),
        again(() =>
          session.query(`
            alter table holdfast.messages
            add column if not exists bench integer not null default 1`)
        )
      ])
      return async () => {
        await session.query('alter table holdfast.messages drop column bench')
        await session.end()
      }
    }
  }
}

async function again(work: () => Promise<unknown>): Promise<void> {
  for (const untilMs = Date.now() + lastsMs; Date.now() < untilMs; await pause(everyMs)) await work()
}

async function whileEndpoint({ endpoint, serves }: Stage, mood: Mood): Promise<() => void> {
  endpoint.become(mood)
  await Promise.all([serves(), pause(lastsMs)])
  return () => endpoint.become('good')
}

async function swallowing(
  { cluster, odd }: Stage,
  side: 'database' | 'front',
  swallow: Swallow
): Promise<() => void> {
  const proxies = cluster.replicas.map(replica => replica[side])
  for (const proxy of proxies) Object.assign(proxy, { swallow, swallowed: 0 })
  await pause(lastsMs)
  return () => {
    if (proxies.every(({ swallowed }) => swallowed === 0)) odd('nothing was lost: the proxy saw none of it')
    for (const proxy of proxies) proxy.swallow = null
  }
}

/** A call that the fault itself needs: it is sent until it succeeds, at most 50 times. */
async function insist(url: string, body: object): Promise<any> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const answer = await post(url, body)
    if (answer !== null) return answer
    await pause(100)
  }
  throw new Error(`A call of ${url} failed 50 times.`)
}
