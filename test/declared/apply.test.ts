/** Queues as code: what holdfast apply plans, does and refuses, against a service. */
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readDeclared } from '../../src/declared/file.ts'
import { clientWith, guarded, until, withKey } from '../support/apiKeys.ts'
import { endpoint } from '../support/endpoint.ts'
import { commands, commandsFor } from './setup.ts'

/** Most tests share a service. Those with keys share another one. */
const shared = await commands(t)
const keyed = await guarded(t)

t.beforeEach(() => shared.clear())

const whole = `
queues:
  orders:
    maxAttempts: 10
    retry: { strategy: fixed, delaySeconds: 2.5 }
    rate: { messages: 100, perSeconds: 1 }
    deadLetterQueue: orders-dead
    tags: { team: shop }
  orders-dead:
  reports: {}
topics:
  sales:
    subscriptions:
      orders: { pattern: eu.# }
      reports:
schedules:
  nightly:
    queue: reports
    cron: 30 6 * * 1-5
    timezone: Europe/London
    body: { report: daily, pages: [1, 2.5, null] }
push:
  orders:
    url: https://127.0.0.1/hook
    headers: { authorization: !env HOOK_TOKEN }
`

t.test('a dry run shows every step, apply takes them, and the same file again changes nothing', async t => {
  const { holdfast, variables, folder, apply, export: exported } = shared
  variables.HOOK_TOKEN = 'Bearer hidden'
  const secrets = join(folder, 'secrets')
  const dry = await apply(whole, '--dry-run')
  t.strictSame(dry, {
    code: 2,
    said: [
      '+ queue orders-dead',
      '+ queue orders: maxAttempts 10, retry {"strategy":"fixed","delaySeconds":2.5}, ' +
        'rate {"messages":100,"perSeconds":1}, deadLetterQueue orders-dead, tags {"team":"shop"}',
      '+ queue reports',
      '+ subscription of orders to sales: pattern eu.#',
      '+ subscription of reports to sales',
      '+ schedule nightly: queue reports, cron 30 6 * * 1-5, timezone Europe/London, ' +
        'body {"report":"daily","pages":[1,2.5,null]}',
      '+ push orders: url https://127.0.0.1, headers',
      '',
      '7 steps to take. Nothing was changed.'
    ].join('\n')
  })
  t.strictSame((await holdfast.get('/queues')).body.queues, [])
  await t.rejects(apply(whole), /^\+ push orders[^]*--secrets FILE\. Nothing was changed\.$/m)
  t.strictSame((await holdfast.get('/queues')).body.queues, [])
  const applied = await apply(whole, '--secrets', secrets)
  t.equal(applied.code, 0)
  t.match(applied.said, /\ndone {2}\+ queue orders-dead\ndone {2}\+ queue orders: [^]*\n7 steps taken\.$/)
  t.match(JSON.parse(await readFile(secrets, 'utf8')), { push: 'orders', secret: /^whsec_/ })
  t.equal((await stat(secrets)).mode & 0o777, 0o600)
  t.match((await holdfast.get('/queues/orders')).body.settings, {
    maxAttempts: 10,
    retry: { strategy: 'fixed', delaySeconds: 2.5, jitter: true },
    deadLetterQueue: 'orders-dead'
  })
  t.match((await holdfast.get('/queues/orders/push')).body.headers, { authorization: 'Bearer hidden' })
  t.strictSame(await apply(whole), { code: 0, said: 'Nothing to change.' })
  t.strictSame(await apply(whole, '--dry-run', '--prune'), { code: 0, said: 'Nothing to change.' })
  const text = await exported()
  t.match(text, /^ {4}headers:\n {6}authorization: !env ORDERS_AUTHORIZATION$/m)
  t.match(text, /^ {2}orders-dead: \{\}$/m)
  t.notMatch(text, /hidden|whsec/)
  t.notMatch(text, 'leaseSeconds', 'a default')
})

t.test('what is wrong in a file is refused with its line and column, and nothing is changed', async t => {
  const { apply, holdfast } = shared
  const wrong: [string, string][] = [
    [
      'queues:\n  a:\n    maxAttemps: 5',
      '3:5: queues.a.maxAttemps is not a known field (did you mean maxAttempts?).'
    ],
    ['queues:\n  a: { maxAttempts: 0 }', '2:8: queues.a.maxAttempts must be at least 1.'],
    ['queues:\n  a: { retry: { strategy: slow } }', '2:17: queues.a.retry.strategy must be one of '],
    ['queue: {}', '1:1: queue is not a known field (did you mean queues?).'],
    ['queues:\n  ok: {}\n  a b: {}', '3:3: A name in queues must be 1 to 80 of '],
    ['queues:\ntopics: {}', '1:1: queues has nothing below it. Leave it out, or write {} for none of them.'],
    ['queues:\n  a: {}\n  a: {}', '3:3: This name stands there twice. Write each name once.'],
    ['queues: [a', '1:11: Flow sequence in block collection must be sufficiently indented and end with a ].'],
    ['queues: {}\n---\nqueues: {}', '2:1: A second document begins here. Write all in one, without ---.'],
    ['queues: {a: {tags: !secret {}}}', '1:20: Unresolved tag: !secret.'],
    ['queues: {a: *there}', '1:13: Nothing above is marked &there.'],
    ['- a', '1:1: The file must be an object.'],
    ['', '1:1: The file must be an object.'],
    [
      'topics: {t: {subscriptions: {q: {pattern: a..b}}}}',
      '1:34: topics.t.subscriptions.q.pattern must be 1 to 255 characters: words joined by dots'
    ],
    ['topics: {t: {}}', '1:10: topics.t.subscriptions is missing.'],
    ['schedules: {s: {queue: q, cron: "* * *", body: 1}}', '1:27: The cron expression must have five fields'],
    ['schedules: {s: {cron: "@daily", body: 1}}', '1:13: The schedule s is new, so it needs queue.'],
    [
      'schedules:\n  s: {body: [1, 12345678901234567890]}',
      '2:17: schedules.s.body.1 is a number that cannot be kept'
    ],
    ['schedules: {s: {body: {a: .nan}}}', '1:24: schedules.s.body.a is a number that cannot be kept'],
    ['schedules: {s: {body: !!binary aGk=}}', '1:17: schedules.s.body is no value of JSON.'],
    ['push: {q: {url: "ftp://a/b"}}', '1:12: push.q.url must be a URL'],
    ['push: {q: {maxConcurrent: 5}}', '1:8: The push q is new, so it needs url.'],
    [
      'push: {q: {url: !env NOWHERE}}',
      '1:17: There is no environment variable NOWHERE. Set it, or write the text'
    ],
    ['keys: {k: {rights: [fly:q]}}', '1:21: keys.k.rights.0 must be a right: admin, '],
    ['keys: {k: {rights: [admin], secret: x}}', '1:29: keys.k.secret is not a known field.'],
    ['queues: {a: {deadLetterQueue: a}}', '1:14: A dead message would go round in a circle: a -> a.']
  ]
  for (const [text, sentence] of wrong) {
    const error = await apply(text).then(
      () => null,
      error => error as Error
    )
    t.match(error?.message.replace(/^.*queues\.yaml:/, '').slice(0, sentence.length), sentence, text)
  }
  t.strictSame((await holdfast.get('/queues')).body.queues, [])
  await t.rejects(apply('queues: {}', '--delete-messages'), /is for queues that --prune removes/)
})

t.test('a file with many aliases is read in a moment', async t => {
  const queues = Array.from({ length: 4000 }, (_, index) => `  q${index}: ${index === 0 ? '&a {}' : '*a'}`)
  const startedMs = performance.now()
  const { declared } = readDeclared('f', ['queues:', ...queues].join('\n'), () => undefined)
  t.equal(Object.keys(declared.queues!).length, 4000)
  t.ok(performance.now() - startedMs < 5000)
})

t.test('what the file leaves out stays, and goes with --prune', async t => {
  const { apply, holdfast, folder } = shared
  await apply(
    'queues: { a: { maxAttempts: 7, retry: { strategy: fixed } }, b: { deadLetterQueue: c }, c: {} }\n' +
      'topics: { t: { subscriptions: { a: {}, b: { pattern: x } } } }\n' +
      'schedules: { s: { queue: a, cron: "@daily", body: 1, priority: 9 } }\n' +
      'push: { b: { url: "http://127.0.0.1:1/" } }',
    '--secrets',
    join(folder, 'secrets')
  )
  const less =
    'queues: { a: { retry: { delaySeconds: 3 } } }\n' +
    'topics: { t: { subscriptions: { a: {} } } }\n' +
    'schedules: { s: { queue: a, cron: "@daily", body: 1 } }\n' +
    'push: {}'
  t.equal((await apply(less)).said.split('\n')[0], '~ queue a: retry.delaySeconds 1 -> 3')
  t.strictSame(await apply(less), { code: 0, said: 'Nothing to change.' })
  await holdfast.post('/queues/c/messages', { body: 1 })
  const pruned = await apply(less, '--prune', '--dry-run')
  t.strictSame(pruned.said.split('\n'), [
    'The queue c stays, because it holds 1 message. --delete-messages removes it with them.',
    '~ queue a: retry.strategy fixed -> exponential, maxAttempts 7 -> 5',
    '~ schedule s: priority 9 -> 4',
    '- push b',
    '- subscription of b to t',
    '- queue b',
    '',
    '5 steps to take. Nothing was changed.'
  ])
  t.equal(pruned.code, 2)
  t.match((await apply(less, '--prune')).said, /\n5 steps taken\.$/)
  t.match((await holdfast.get('/queues')).body.queues, [{ queue: 'a' }, { queue: 'c' }])
  t.match(await apply(less, '--prune', '--dry-run'), {
    code: 0,
    said: /^The queue c stays.*\nNothing to change\.$/
  })
  t.match(
    (await apply('topics: {}', '--prune')).said,
    '- subscription of a to t',
    'no other section is touched'
  )
  t.equal((await holdfast.get('/schedules/s')).status, 200)
  await apply('queues: { a: {} }', '--prune', '--delete-messages')
  t.match((await holdfast.get('/queues')).body.queues, [{ queue: 'a' }])
})

t.test('a queue that the file names stays, and one that gets a message in between too', async t => {
  const { apply, holdfast } = shared
  for (const queue of ['dead', 'late', 'copies']) await holdfast.call('PUT', `/queues/${queue}`, {})
  const text = 'queues: { a: { deadLetterQueue: dead } }\ntopics: { t: { subscriptions: { copies: {} } } }'
  t.match(
    (await apply(text, '--prune', '--dry-run')).said,
    [
      'The queue copies stays, because the file names it.',
      'The queue dead stays, because the file names it.'
    ].join('\n')
  )
  await holdfast.post('/queues/late/messages', { body: 1, delaySeconds: 60 })
  // Counts may be a second old. The service looks again, under a lock.
  const { said } = await apply(text, '--prune').catch(error => ({ said: error.message as string }))
  t.match(said, /queue late stays|queue late\nThe queue late holds messages, so it was not removed/)
  t.equal((await holdfast.get('/queues/late')).status, 200)
})

t.test('a chain of dead-letter queues is turned round; a circle is refused, where it closes', async t => {
  const { apply, holdfast } = shared
  await apply(
    'queues: { a: { deadLetterQueue: b }, b: { deadLetterQueue: c }, c: {}, d: { deadLetterQueue: a } }'
  )
  const turned = await apply(
    'queues:\n  a: { deadLetterQueue: null }\n  b: { deadLetterQueue: a }\n  c: { deadLetterQueue: b }'
  )
  t.strictSame(turned.said.split('\n').slice(0, 3), [
    '~ queue a: deadLetterQueue b -> null',
    '~ queue b: deadLetterQueue c -> a',
    '~ queue c: deadLetterQueue null -> b'
  ])
  t.equal(turned.code, 0)
  t.match((await holdfast.get('/queues/c')).body.settings, { deadLetterQueue: 'b' })
  await t.rejects(
    apply('queues:\n  a:\n    deadLetterQueue: d'),
    /queues\.yaml:3:5: A dead message would go round in a circle: a -> d -> a\. Let one of these/
  )
})

t.test('keys are made, changed and revoked by name, and never the one in use', async t => {
  const { holdfast, admin } = keyed
  const own = await clientWith(holdfast, admin, ['admin'])
  const {
    apply,
    folder,
    export: exported
  } = commandsFor(t, { HOLDFAST_URL: holdfast.url, HOLDFAST_KEY: own.secret })
  const secrets = join(folder, 'secrets')
  const text = 'keys:\n  mail worker: { rights: [lease:mail, browse:mail], requestsPerSecond: 100 }'
  await apply(text, '--secrets', secrets)
  const { key, secret } = JSON.parse(await readFile(secrets, 'utf8'))
  t.equal(key, 'mail worker')
  t.equal((await withKey(holdfast, secret).post('/queues/mail/messages', { body: 1 })).status, 403)
  t.strictSame(await apply(text), { code: 0, said: 'Nothing to change.' })
  t.equal((await apply(text.replace('lease:mail, browse:mail', 'browse:mail, lease:mail'))).code, 0)
  const wider = text.replace('lease:mail', 'enqueue:mail').replace('100', 'null')
  t.match(
    (await apply(wider)).said,
    '~ key mail worker: rights browse:mail lease:mail -> browse:mail enqueue:mail, ' +
      'requestsPerSecond 100 -> null'
  )
  await until(201, () => withKey(holdfast, secret).post('/queues/mail/messages', { body: 1 }))
  // While a key is replaced there are two of its name.
  await admin.post('/keys', { name: 'mail worker', rights: ['browse:mail'] })
  await t.rejects(exported(), /Several keys are named mail worker, and they differ in rights/)
  t.match((await apply(wider)).said, '~ key mail worker: rights various -> browse:mail enqueue:mail')
  t.match(await exported(), 'keys:\n  test:\n    rights:\n      - admin\n  mail worker:\n')
  const pruned = await apply('keys: {}', '--prune')
  t.match(pruned.said, /^The key test stays, because this call uses it\.\n- key mail worker\n/)
  t.match((await admin.get('/keys')).body.keys, [{ name: 'test' }])
})

t.test('the first keys of a service are made in one go, the admin key first', async t => {
  const { holdfast, apply, folder } = await commands(t)
  const text = 'keys: { a worker: { rights: [lease:*] }, ops: { rights: [admin] } }'
  const { said } = await apply(text, '--secrets', join(folder, 'secrets'))
  t.match(said, /done {2}\+ key ops: rights admin\ndone {2}\+ key a worker: rights lease:\*/)
  t.equal((await holdfast.get('/queues')).status, 401)
})

t.test('a key may do with a file what it may do over HTTP', async t => {
  const { holdfast, admin } = keyed
  await admin.call('PUT', '/queues/other', {})
  await admin.call('PUT', '/queues/shop.seen', {})
  const team = await clientWith(holdfast, admin, ['manage:shop.*', 'browse:shop.*', 'browse:other'])
  const { apply, export: exported } = commandsFor(t, {
    HOLDFAST_URL: holdfast.url,
    HOLDFAST_KEY: team.secret
  })
  await t.rejects(apply('queues: { shop.orders: {} }', '--prune'), {
    message: /^Step 3 of 3 failed: - queue other\nThis key has no right to manage on the queue other/
  })
  const text = await exported()
  t.match(text, /^queues:\n {2}other: \{\}\n {2}shop\.orders: \{\}\n/m)
  t.notMatch(text, 'keys:')
  await t.rejects(apply('queues: { elsewhere: {} }'), /failed: \+ queue elsewhere/)
  await t.rejects(apply('keys: {}', '--prune'), /needs a key with the right admin/)
})

t.test('a step that fails is named, and the next run goes on from there', async t => {
  const { apply, holdfast } = shared
  await apply('queues: { b: {} }')
  await holdfast.post('/queues/b/messages', { body: 1 })
  const text = 'queues: { a: {}, b: { ordering: group }, c: {} }'
  await t.rejects(apply(text), {
    message:
      /^Step 2 of 3 failed: ~ queue b: ordering none -> group\nThe queue b gets another order[^]*it are done/
  })
  await holdfast.post('/queues/b/purge', {})
  t.match((await apply(text)).said, /^~ queue b: ordering none -> group\n\+ queue c\n/)
})

t.test('a service that does not answer is named, and so is a key that it does not know', async t => {
  const { url, close } = await endpoint(t)
  await close()
  const { apply } = commandsFor(t, { HOLDFAST_URL: new URL(url).origin })
  await t.rejects(apply('queues: { a: {} }'), /^The service at http:\S+ does not answer \(.*ECONNREFUSED/)
  const { holdfast } = keyed
  const unknown = commandsFor(t, { HOLDFAST_URL: holdfast.url, HOLDFAST_KEY: 'hf_x' })
  await t.rejects(unknown.apply('queues: { a: {} }'), /The API key is not known here/)
})
