/** Notices between replicas. */
import { setTimeout as pause } from 'node:timers/promises'
import t from 'tap'
import { startListener, type Listener } from '../../src/store/upkeep/listener.ts'
import { Proxy } from '../faultbench/proxy.ts'
import { connect, freshDatabase } from '../support/postgres.ts'

/** Hears nothing. */
const deaf = {
  callersHere: () => [],
  onCallers: () => {},
  onReady: () => {},
  onFree: () => {},
  onHeavy: () => {},
  onDue: () => {}
}

t.test(
  'notices gather while one is on its way: the connection has one query at a time, and none is lost',
  async t => {
    const { config } = await freshDatabase(t, { migrated: false })
    const proxy = new Proxy()
    proxy.target = config.host.startsWith('/') ? { path: `${config.host}/.s.PGSQL.${config.port}` } : config
    proxy.delayMs = 20
    const port = await proxy.listen()
    t.teardown(() => proxy.close())
    const warnings: string[] = []
    const warn = ({ message }: Error) => {
      warnings.push(message)
    }
    process.on('warning', warn)
    t.teardown(() => process.off('warning', warn))
    const heard = new Map<string, number>()
    let all = () => {}
    const listen = async (
      where: object,
      onReady: (queueId: string, count: number) => void
    ): Promise<Listener> => {
      let listener!: Listener
      await new Promise<void>((resolve, reject) => {
        listener = startListener(
          { ...config, ...where },
          { replica: '', ...deaf, onReady, onGap: resolve, onError: reject }
        )
      })
      t.teardown(() => listener.stop())
      return listener
    }
    const speaker = await listen({ host: '127.0.0.1', port }, () => {})
    await listen({}, (queueId, count) => {
      heard.set(queueId, (heard.get(queueId) ?? 0) + count)
      if (heard.get('7') === 5 && heard.size === 401) all()
    })
    const done = new Promise<void>(resolve => {
      all = resolve
    })
    for (let time = 0; time < 5; time++) {
      speaker.announce('7', 1, 1)
      await pause(8) // longer than notices are joined, shorter than one takes
    }
    for (let queue = 1000; queue < 1400; queue++) speaker.announce(String(queue), 1, 1)
    await done
    t.strictSame(warnings, [])
  }
)

t.test('a replica that is alone says nothing, until another is heard', async t => {
  const { config } = await freshDatabase(t, { migrated: false })
  const notices: string[] = []
  let onNotice = () => {}
  const witness = await connect(t, config)
  witness.on('notification', ({ payload }) => {
    notices.push(payload!)
    onNotice()
  })
  await witness.query('listen holdfast')
  const noticed = async (pattern: RegExp, from = 0) => {
    while (!notices.slice(from).some(notice => pattern.test(notice))) {
      await new Promise<void>(resolve => {
        onNotice = resolve
      })
    }
  }
  const start = async () => {
    let listener!: Listener
    await new Promise<void>((resolve, reject) => {
      listener = startListener(config, {
        replica: '',
        ...deaf,
        onGap: resolve,
        onError: reject
      })
    })
    t.teardown(() => listener.stop())
    return listener
  }
  const now = performance.now.bind(performance)
  let later = 0
  performance.now = () => now() + later
  t.teardown(() => {
    performance.now = now
  })

  const alone = await start()
  alone.announce('7', 1, 1)
  await noticed(/ ready 7:/) // of others it knows nothing yet
  later = 13_000
  alone.announce('8', 1, 1)
  const before = notices.length
  await start()
  await noticed(/ here$/, before)
  // The witness has heard it. The replica was sent it too, and may need a moment more to read it.
  while (!notices.some(notice => / ready 9:/.test(notice))) {
    alone.announce('9', 1, 1)
    await pause(8)
  }
  t.notOk(notices.some(notice => / ready 8:/.test(notice)))
})

t.test('a notice that any role of the database makes up is passed by', async t => {
  const { config } = await freshDatabase(t, { migrated: false })
  const heard: unknown[][] = []
  let last = () => {}
  const done = new Promise<void>(resolve => {
    last = resolve
  })
  const hear = (...told: unknown[]) => {
    heard.push(told)
    if (told[0] === '9') last()
  }
  await new Promise<void>((resolve, reject) => {
    const heardOf = {
      callersHere: () => [],
      onCallers: (ids: string[]) => ids.length > 0 && hear(ids),
      onReady: hear,
      onFree: hear,
      onHeavy: hear,
      onDue: hear,
      onGap: resolve,
      onError: reject
    }
    const listener = startListener(config, { replica: '', ...heardOf })
    t.teardown(() => listener.stop())
  })
  const stranger = await connect(t, config)
  const madeUp = [
    'ready 7:1:x',
    'ready 7',
    'ready ,7:1:,7::1',
    'free 7:x',
    'free 7',
    'due x',
    'due',
    'heavy x',
    'heavy 1',
    'heavy 1 ',
    'heavy 1 ,YQ',
    'heavy 1 a;b',
    'heavy 12345 YQ',
    'ready 7:x ,YQ',
    'free 7:x a;b',
    'ready 7:-1:1'
  ]
  for (const text of [...madeUp, 'ready 7:1:1e400,8:1:2', 'free 9:1']) {
    await stranger.query('select pg_notify($1, $2)', ['holdfast', `stranger ${text}`])
  }
  await done
  t.strictSame(heard, [
    ['8', 1, 2],
    ['9', 1]
  ])
})

t.test('a replica names its callers beside the messages that they have stored', async t => {
  const { config } = await freshDatabase(t, { migrated: false })
  const ids = ['4f2a', '2001:db8::/64']
  const listen = async (onCallers: (callerIds: string[]) => void) => {
    let listener!: Listener
    await new Promise<void>((resolve, reject) => {
      const spoken = { replica: '', ...deaf, callersHere: () => ids, onCallers }
      listener = startListener(config, { ...spoken, onGap: resolve, onError: reject })
    })
    t.teardown(() => listener.stop())
    return listener
  }
  const speaker = await listen(() => t.fail('it hears itself'))
  const heard = new Promise<string[]>(resolve => {
    listen(resolve).then(() => speaker.announce('7', 1, 1), t.threw)
  })
  t.strictSame(await heard, ids)
})

t.test('a replica tells which callers have let everybody wait at which of its processes', async t => {
  const { config } = await freshDatabase(t, { migrated: false })
  const listen = async (onHeavy: (place: string, callerIds: string[]) => void) => {
    let listener!: Listener
    await new Promise<void>((resolve, reject) => {
      listener = startListener(config, {
        replica: '',
        ...deaf,
        onHeavy,
        onGap: resolve,
        onError: reject
      })
    })
    t.teardown(() => listener.stop())
    return listener
  }
  const callerIds = ['4f2a', '192.0.2.1', '2001:db8::/64', 'this machine', 'ä, b']
  const speaker = await listen(() => t.fail('it hears itself'))
  const heard = new Promise<unknown[]>(resolve => {
    listen((...told) => resolve(told)).then(() => speaker.announceHeavy(3, callerIds), t.threw)
  })
  const [place, ids] = await heard
  t.match(place, /^[\da-f]{8}\/3$/)
  t.strictSame(ids, callerIds)
})
