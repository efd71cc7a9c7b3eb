/** Bad reads and settings of queues: names, settings, filters, cursors. */
import { get, messages, put, type Case } from './case.ts'

const badNames: Case[] = [
  '..%2F..%2Fetc%2Fpasswd',
  '%2e%2e',
  'q%00',
  "q'%3Bdrop%20table%20x%3B--",
  '%22q%22',
  'q%C3%A9',
  '.hidden',
  '-q',
  'a'.repeat(81),
  'q%20r',
  '%E2%80%AEq',
  '__proto__'
].map(name => ({
  name: `queue name ${name.slice(0, 30)}`,
  path: `/queues/${name}/messages`,
  body: '{"body":1}',
  code: 'invalidRequest',
  pointer: 'path/queue'
}))

const badSettings: Case[] = [
  put('/queues/q', '{"leaseSeconds":0}', 'invalidRequest', '/leaseSeconds'),
  put('/queues/q', '{"leaseSeconds":"30"}', 'invalidRequest', '/leaseSeconds'),
  put('/queues/q', '{"retry":{"strategy":"random"}}', 'invalidRequest', '/retry/strategy'),
  put('/queues/q', '{"retry":{"x":1}}', 'invalidRequest', '/retry/x')
]

/** The case points at the first parameter of the query. */
const query = (path: string, query: string): Case =>
  get(`${path}?${query}`, 'invalidRequest', `query/${query.split('=')[0]}`)

const badQueries: Case[] = [
  ...['limit=0', 'limit=1001', 'limit=x', 'limit=1e999', `limit=${'9'.repeat(400)}`],
  ...['contains=', `contains=${'x'.repeat(201)}`, 'contains=%00', 'reason='],
  ...['enqueuedAfter=yesterday', 'enqueuedBefore=0000-01-01T00:00:00Z', 'state=lost'],
  `cursor=${'MQ'.repeat(5000)}`
].map(text => query(messages, text))

const badLiveQueries: Case[] = [
  'sort=__proto__',
  'sort=name;drop',
  'page=-1',
  'page=1e999',
  'limit=101',
  'descending=perhaps',
  `search=${'x'.repeat(81)}`,
  'colour=red'
].map(text => query('/console/live', text))

const flippedCursor = Buffer.from('1').toString('base64url').replace('M', 'L')
const cursorOfMessages = Buffer.from('other/../q').toString('base64url')
const badCursors: Case[] = [
  ...['x', 'LTE', 'OTk5OTk5OTk5OTk5OTk5OTk5OTk5', "'; drop table", flippedCursor].map(
    cursor => `${messages}?cursor=${encodeURIComponent(cursor)}`
  ),
  ...['Li4v', cursorOfMessages].map(cursor => `/queues?cursor=${cursor}`)
].map(path => get(path, 'invalidCursor', 'query/cursor'))

export const queues: Case[] = [
  ...badNames,
  ...badSettings,
  ...badQueries,
  ...badLiveQueries,
  ...badCursors,
  get('/queues/nowhere/series', 'queueNotFound'),
  get('/queues/nowhere/messages/1/explain', 'queueNotFound'),
  ...['0', '-1', '1e3', '99999999999999999999', "1'--", '%00'].map(id =>
    get(`/queues/q/messages/${id}/explain`, 'messageNotFound')
  )
]
