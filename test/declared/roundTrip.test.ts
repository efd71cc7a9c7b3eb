/** Whatever a service has: its export, applied to an empty service, makes the same service. */
import fc, { type Arbitrary } from 'fast-check'
import t from 'tap'
import { settings, type SettingGroup, type SettingRow } from '../../src/core/settings.ts'
import type { FieldRow, NumberRow } from '../../src/core/table.ts'
import { clientWith, guarded } from '../support/apiKeys.ts'
import { commandsFor } from './setup.ts'

const seconds = process.env.HOLDFAST_TEST_SECONDS
/** A machine that is busy may need a second for one service. */
const howLong =
  seconds === undefined
    ? { numRuns: 3 }
    : { numRuns: 10_000, interruptAfterTimeLimit: Number(seconds) * 1000 }

/** Any text that can be stored. Much of it needs quotes or escapes in YAML. */
const text = (maxLength: number) =>
  fc
    .oneof(
      fc.string({ unit: 'binary', maxLength }),
      fc.constantFrom('yes', 'null', '1', '- a', '!env X', '*x', '# no', 'a: b', ' ', '\ufeff', '2001-01-01')
    )
    .filter(each => !each.includes('\0'))

const numberOf = ({ type, min = 0, max }: NumberRow) =>
  type === 'integer'
    ? fc.integer({ min, max })
    : fc.integer({ min: Math.ceil(min * 10) + 1, max: max * 10 }).map(tenths => tenths / 10)

function valueOf(row: SettingRow | FieldRow): Arbitrary<unknown> {
  switch (row.type) {
    case 'integer':
    case 'number':
      return numberOf(row)
    case 'choice':
      return fc.constantFrom(...row.choices)
    case 'flag':
      return fc.boolean()
    case 'texts':
      return fc.dictionary(text(20).filter(Boolean), text(50), { maxKeys: 3 })
    case 'record':
      return recordOf(row.fields, name => row.fields[name]!.optional !== true)
    case 'queue':
      return fc.constant(null) // chosen below, without circles
  }
}

const recordOf = (
  rows: Record<string, SettingRow | SettingGroup | FieldRow>,
  isNeeded = (_name: string) => false
): Arbitrary<Record<string, unknown>> =>
  fc.record(
    Object.fromEntries(
      Object.entries(rows).map(([name, row]) => [
        name,
        'members' in row ? recordOf(row.members) : valueOf(row)
      ])
    ),
    { requiredKeys: Object.keys(rows).filter(isNeeded) }
  )

const body = fc.anything({
  maxDepth: 2,
  key: text(10),
  values: [
    text(30),
    fc.boolean(),
    fc.constant(null),
    fc.integer(),
    fc.double({ min: -1e6, max: 1e6, noNaN: true })
  ]
})

// The order queue makes one group of all, so it has no fairness among groups.
const { fairness: _fairness, ...free } = settings
const queueNames = ['a', 'b', 'c.d', 'null', '1e3', '0x1_']
const names = <T>(entry: Arbitrary<T>) => fc.dictionary(fc.constantFrom(...queueNames), entry, { maxKeys: 4 })

const declared = fc
  .record({
    queues: names(fc.tuple(recordOf(free), fc.nat(5))),
    topics: names(
      fc.record({ subscriptions: names(fc.record({ pattern: fc.constantFrom('#', 'eu.*', 'ü.#') })) })
    ).map(topics =>
      Object.fromEntries(
        Object.entries(topics).filter(([, each]) => Object.keys(each.subscriptions).length > 0)
      )
    ),
    schedules: names(
      fc.record(
        {
          queue: fc.constantFrom(...queueNames),
          cron: fc.constantFrom('0 0 29 2 1', '*/5 3 1 1 *', '@yearly'),
          timezone: fc.constantFrom('UTC', 'Europe/London'),
          body,
          headers: fc.dictionary(text(10).filter(Boolean), text(20), { maxKeys: 2 }),
          priority: fc.nat(9),
          paused: fc.constant(true),
          missed: fc.constantFrom('once', 'skip')
        },
        { requiredKeys: ['queue', 'cron', 'body', 'paused'] }
      )
    ),
    push: names(
      fc.record(
        {
          url: fc.constantFrom('http://127.0.0.1:9/x?y=z', 'https://127.0.0.1/'),
          maxConcurrent: fc.integer({ min: 1, max: 1000 }),
          timeoutSeconds: fc.integer({ min: 1, max: 300 }),
          headers: fc.dictionary(fc.constantFrom('authorization', 'x-A'), fc.constantFrom('', 'a: b', '*'))
        },
        { requiredKeys: ['url'] }
      )
    ),
    keys: fc.dictionary(
      fc.constantFrom('mail worker', 'yes', 'ключ', '#1'),
      fc.record(
        {
          rights: fc.uniqueArray(fc.constantFrom('lease:a', 'browse:*', 'publish:c.*'), { minLength: 1 }),
          requestsPerSecond: fc.option(fc.integer({ min: 1, max: 1000 }))
        },
        { requiredKeys: ['rights'] }
      ),
      { maxKeys: 2 }
    )
  })
  .map(({ queues, ...rest }) => ({ queues: withTargets(queues), ...rest }))

/** Each queue may send its dead messages to one that comes later, so there is no circle. */
function withTargets(queues: Record<string, [object, number]>): Record<string, object> {
  const order = Object.keys(queues)
  return Object.fromEntries(
    Object.entries(queues).map(([name, [given, skip]]) => {
      const deadLetterQueue = order[order.indexOf(name) + skip]
      const hasTarget = deadLetterQueue !== undefined && deadLetterQueue !== name
      return [name, { ...given, deadLetterQueue: hasTarget ? deadLetterQueue : null }]
    })
  )
}

t.test('an export applied to an empty service makes the same service, with the same export', async t => {
  const { holdfast, admin } = await guarded(t, { HOLDFAST_PUSH_PRIVATE: 'on' })
  const own = await clientWith(holdfast, admin, ['admin'])
  const {
    apply,
    export: exported,
    variables
  } = commandsFor(t, {
    HOLDFAST_URL: holdfast.url,
    HOLDFAST_KEY: own.secret
  })
  const everything = ['--prune', '--secrets', '/dev/null']
  const nothing = '{"queues": {}, "topics": {}, "schedules": {}, "push": {}, "keys": {}}'
  const setVariables = (push: Record<string, { headers?: Record<string, string> }>) => {
    for (const [queue, { headers = {} }] of Object.entries(push)) {
      for (const [name, value] of Object.entries(headers)) {
        variables[`${queue}_${name}`.toUpperCase().replace(/\W/g, '_')] = value
      }
    }
  }
  let runs = 0
  await fc.assert(
    fc.asyncProperty(declared, async wanted => {
      await apply(nothing, ...everything)
      const file = JSON.stringify(wanted)
      await apply(file, ...everything)
      const { said } = await apply(file, ...everything)
      if (!said.endsWith('Nothing to change.')) throw new Error(`The same file again changed: ${said}`)
      const first = await exported()
      setVariables(wanted.push)
      await apply(nothing, ...everything)
      await apply(first, ...everything)
      const second = await exported()
      runs++
      if (second !== first) throw new Error(`${first}\n--- became ---\n${second}`)
      const { said: left } = await apply(file, ...everything, '--dry-run')
      if (!left.endsWith('Nothing to change.')) throw new Error(`The export has lost something: ${left}`)
    }),
    { ...howLong, endOnFailure: true }
  )
  t.ok(runs > 0, `${runs} services`)
})

t.test('names and texts that mean something elsewhere come back, and nothing acts on a terminal', async t => {
  const { holdfast, admin } = await guarded(t)
  const env = {
    HOLDFAST_URL: holdfast.url,
    HOLDFAST_KEY: (await clientWith(holdfast, admin, ['admin'])).secret
  }
  const { apply, export: exported } = commandsFor(t, env)
  const hidden = [
    '\u001b[31m',
    '\u009b31m',
    '\u0085',
    '\u2028',
    '\u202e',
    '\ufeff',
    '\u{e0041}',
    '\r',
    '\\\u202e'
  ]
  const tags = Object.fromEntries([...hidden, '\t', 'a\nb'].map(each => [each, `${each}x`]))
  for (const name of ['constructor', 'toString', 'then']) {
    await admin.call('PUT', `/queues/${name}`, { tags })
    await admin.call('PUT', `/topics/${name}/subscriptions/constructor`, {})
    const body = `["\\ud800", ${JSON.stringify(hidden)}]`
    await admin.call('PUT', `/schedules/${name}`, `{"queue": "then", "cron": "@yearly", "body": ${body}}`)
  }
  await admin.post('/keys', { name: '__proto__', rights: ['lease:x'] })
  const text = await exported()
  t.notMatch(text, /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
  t.match(await apply(text, '--dry-run', '--prune'), { code: 0, said: 'Nothing to change.' })
  t.match(text, '__proto__:')
  for (const name of ['constructor', 'toString', 'then']) await admin.call('DELETE', `/queues/${name}`)
  t.equal((await apply(text)).code, 0)
  t.strictSame((await admin.get('/queues/toString')).body.settings.tags, tags)
  t.equal(await exported(), text)
})
