/** The groups of a queue: what waits in each, and what goes first. */
import t from 'tap'
import { groupExaminedMax, groupsExaminedMax } from '../../../src/core/limits.ts'
import { connect } from '../../support/postgres.ts'
import { service } from '../../support/service.ts'

const holdfast = await service(t)
const groupsOf = async (queue: string, query = '') =>
  (await holdfast.get(`/queues/${queue}/groups${query}`)).body

async function put(queue: string, settings: object, groups: (string | undefined)[]): Promise<string[]> {
  await holdfast.call('PUT', `/queues/${queue}`, settings)
  const messages = groups.map(group => ({ body: 1, group }))
  const { body } = await holdfast.post(`/queues/${queue}/messages`, { messages })
  return body.messages.map(({ id }: { id: string }) => id)
}

t.test('of each group of an ordered queue, what the others wait for', async t => {
  const ids = await put('ordered', { ordering: 'group' }, ['ada', 'ada', 'bob', 'bob', 'bob', 'eve'])
  const { messages } = (await holdfast.post('/queues/ordered/lease', { max: 1 })).body
  const bob = (await holdfast.post('/queues/ordered/lease', { max: 1 })).body.messages[0]
  const failed = await holdfast.post('/queues/ordered/fail', { receipt: bob.receipt, delaySeconds: 600 })
  const until = messages[0].leaseExpiresAt
  t.strictSame(await groupsOf('ordered'), {
    groups: [
      {
        group: 'ada',
        waiting: 1,
        leased: 1,
        more: false,
        nextTokenAt: null,
        first: { id: ids[0], state: 'leased', attempt: 1, until }
      },
      {
        group: 'bob',
        waiting: 3,
        leased: 0,
        more: false,
        nextTokenAt: null,
        first: { id: ids[2], state: 'delayed', attempt: 1, until: failed.body.visibleAt }
      },
      {
        group: 'eve',
        waiting: 1,
        leased: 0,
        more: false,
        nextTokenAt: null,
        first: { id: ids[5], state: 'ready', attempt: 0, until: null }
      }
    ],
    cursor: null
  })
})

t.test('groups come page by page, whatever their names', async t => {
  const names = ['0', '007', '=', 'a', 'é', '💩'.repeat(128)]
  await put('paged', { fairness: 'group' }, [undefined, ...names])
  const seen: (string | null)[] = []
  let query = '?limit=1'
  for (;;) {
    const { groups, cursor } = await groupsOf('paged', query)
    seen.push(...groups.map(({ group }: { group: string | null }) => group))
    if (cursor === null) break
    query = `?limit=1&cursor=${cursor}`
  }
  t.strictSame(seen, [null, ...names])
})

t.test('a flood is not counted to its end', async t => {
  await put('flood', { ordering: 'queue' }, Array(groupExaminedMax).fill('a'))
  await put('flood', {}, ['a'])
  t.match((await groupsOf('flood')).groups, [{ group: null, waiting: groupExaminedMax, more: true }])
})

t.test('a message that does not hold up its group is not first where groups take turns', async t => {
  const ids = await put('turns', { fairness: 'group' }, ['ada', 'ada'])
  await holdfast.post('/queues/turns/lease', { max: 1 })
  t.match((await groupsOf('turns')).groups, [
    { waiting: 1, leased: 1, first: { id: ids[1], state: 'ready' } }
  ])
})

t.test('of a group whose rate is used up, when its next lease is due', async t => {
  const ratePerGroup = { messages: 1, perSeconds: 1000, burst: 2 }
  await put('rates', { ratePerGroup }, ['ada', 'ada', 'ada', 'bob', 'bob'])
  await holdfast.post('/queues/rates/lease', { max: 3 })
  const { groups } = await groupsOf('rates')
  t.match(groups, [{ group: 'ada' }, { group: 'bob', nextTokenAt: null }])
  const inMs = Date.parse(groups[0].nextTokenAt) - Date.now()
  t.ok(inMs > 980_000 && inMs < 1_000_100, `in ${inMs} ms`)
})

t.test('other queues have no groups, and an unreadable cursor is refused', async t => {
  await put('plain', {}, ['ada'])
  t.strictSame(await groupsOf('plain'), { groups: [], cursor: null })
  t.equal((await groupsOf('none')).code, 'queueNotFound')
  t.equal((await groupsOf('plain', '?cursor=YQ')).code, 'invalidCursor')
})

t.test('of groups without messages whose rates are remembered, a page examines some only', async t => {
  await put('remembered', { ratePerGroup: { messages: 1, perSeconds: 1000 } }, ['z'])
  const sql = await connect(t, holdfast.databaseUrl)
  await sql.query(
    `insert into holdfast.line_rates (queue_id, line, tokens, refilled_at, due_at)
    select q.id, 'a' || n, 0, now(), now() + interval '1 hour'
    from holdfast.queues q, generate_series(1, $1::integer) n
    where q.name = 'remembered'`,
    [groupsExaminedMax]
  )
  const { groups, cursor } = await groupsOf('remembered')
  t.strictSame(groups, [])
  t.match(await groupsOf('remembered', `?cursor=${cursor}`), { groups: [{ group: 'z' }], cursor: null })
})
