/** Bad leases, settles and bulk actions: options, receipts, filters. */
import { receipt, staleReceipt } from '../setup.ts'
import { verb, type Case } from './case.ts'

const badLeaseValues: Record<string, string[]> = {
  max: ['0', '1001', '"1"', '1.5', 'null', '1e309'],
  waitSeconds: ['61', '-1', '"5"'],
  leaseSeconds: ['0', '43201', 'null'],
  worker: [JSON.stringify('w'.repeat(129)), '"\\u0000"'],
  unknown: ['1']
}

export const leases: Case[] = [
  ...Object.entries(badLeaseValues).flatMap(([option, values]) =>
    values.map(value => verb('lease', `{"${option}":${value}}`, 'invalidRequest', `/${option}`))
  ),
  verb('lease', '[]', 'invalidRequest', ''),
  {
    name: 'a good receipt in ack beside a bad one',
    path: '/queues/other/lease',
    body: JSON.stringify({ ack: [receipt, 'bad'] }),
    code: 'invalidReceipt',
    pointer: '/ack/1'
  }
]

const badReceipts: Case[] = ['ack', 'release'].flatMap(name => [
  verb(name, '{}', 'invalidRequest', '/receipt'),
  verb(name, '{"receipt":1}', 'invalidRequest', '/receipt'),
  verb(name, '{"receipt":""}', 'invalidRequest', '/receipt'),
  verb(name, JSON.stringify({ receipt: 'x'.repeat(1_000_000) }), 'invalidRequest', '/receipt'),
  verb(name, '{"receipt":"garbage"}', 'invalidReceipt', '/receipt'),
  verb(name, '{"receipt":"1.1.1.00000000"}', 'invalidReceipt', '/receipt'),
  verb(name, '{"receipt":"99999999999999999999.1.1.00000000"}', 'invalidReceipt', '/receipt'),
  verb(name, '{"receipts":[]}', 'invalidRequest', '/receipts'),
  verb(name, '{"receipts":["x","y"]}', 'invalidReceipt', '/receipts/0'),
  verb(name, '{"receipts":["x"],"receipt":"y"}', 'invalidRequest', '/receipt'),
  verb(name, JSON.stringify({ receipts: Array(1001).fill('x') }), 'invalidRequest', '/receipts')
])

const badFields: Case[] = [
  verb('fail', '{"receipt":"x","delaySeconds":-1}', 'invalidRequest', '/delaySeconds'),
  verb('fail', JSON.stringify({ receipt: 'x', reason: 'r'.repeat(4097) }), 'invalidRequest', '/reason'),
  verb('fail', '{"failures":[{"receipt":"x","dead":"yes"}]}', 'invalidRequest', '/failures/0/dead'),
  verb('fail', '{"failures":[{"receipt":"x"}]}', 'invalidReceipt', '/failures/0/receipt'),
  verb('extend', '{"receipt":"x"}', 'invalidRequest', '/leaseSeconds'),
  verb('extend', '{"receipt":"x","leaseSeconds":43201}', 'invalidRequest', '/leaseSeconds')
]

/** Receipts that were good once, or elsewhere, or are almost good. */
const forgedReceipts: Case[] = ['ack', 'fail', 'release', 'extend'].flatMap(name => {
  const wrong = (what: string, queue: string, forged: string): Case => ({
    name: `${name} with ${what}`,
    path: `/queues/${queue}/${name}`,
    body: JSON.stringify({ receipt: forged, ...(name === 'extend' && { leaseSeconds: 5 }) }),
    code: 'invalidReceipt',
    pointer: '/receipt'
  })
  const { pointer: _none, ...stale } = wrong('a stale receipt', 'other', staleReceipt)
  return [
    { ...stale, code: 'leaseLost' },
    wrong('a receipt of another queue', 'q', receipt),
    wrong('a receipt cut short', 'other', receipt.slice(0, -1)),
    wrong('a receipt grown longer', 'other', `${receipt}0`),
    wrong("another message's number", 'other', receipt.replace(/\.(\d+)\./, '.$10.'))
  ]
})

export const settles: Case[] = [
  ...badReceipts,
  ...badFields,
  ...forgedReceipts,
  {
    name: 'a good receipt beside a bad one',
    path: '/queues/other/ack',
    body: JSON.stringify({ receipts: [receipt, 'bad'] }),
    code: 'invalidReceipt',
    pointer: '/receipts/1'
  }
]

const badTexts = ['""', JSON.stringify('x'.repeat(201)), '"\\u0000"', '"\\ud800"', 'null', '1']
const badTimes = [
  '"yesterday"',
  '"2026-13-01T00:00:00Z"',
  '"0000-01-01T00:00:00Z"',
  '"2016-12-31T23:59:60Z"',
  '0',
  'null'
]
const badFilters: Record<string, string[]> = {
  contains: badTexts,
  reason: badTexts,
  enqueuedAfter: badTimes,
  enqueuedBefore: badTimes,
  body: ['"x"']
}

export const bulkActions: Case[] = [
  verb('purge', '{"state":"gone"}', 'invalidRequest', '/state'),
  verb('redrive', '{"ids":["99999999999999999999"]}', 'invalidRequest', '/ids/0'),
  ...['retry', 'redrive', 'purge'].flatMap(name => [
    verb(name, '{"limit":0}', 'invalidRequest', '/limit'),
    verb(name, '{"ids":[]}', 'invalidRequest', '/ids'),
    verb(name, '{"ids":[1]}', 'invalidRequest', '/ids/0'),
    verb(name, JSON.stringify({ ids: Array(1001).fill('1') }), 'invalidRequest', '/ids'),
    verb(name, '{"dryRun":"yes"}', 'invalidRequest', '/dryRun'),
    verb(name, '{"where":{}}', 'invalidRequest', '/where'),
    verb(name, '{"where":{"__proto__":"x"}}', 'malformedJson'),
    ...Object.entries(badFilters).flatMap(([field, values]) =>
      values.map(value => verb(name, `{"where":{"${field}":${value}}}`, 'invalidRequest', `/where/${field}`))
    )
  ])
]
