/** Redrives that keep to a rate, of several callers: the callers take turns. */
import t from 'tap'
import { everything, type Filter } from '../../src/core/message.ts'
import type { SessionVerbs } from '../../src/store/store.ts'
import { redriveTaskVerbs } from '../../src/store/verbs/redriveTasks.ts'
import { callerNamed } from '../support/callers.ts'
import { blocker, brokerOn, poolA, queues, type Session } from './setup.ts'

const broker = brokerOn(poolA)
const noFilter: Filter = {
  contains: null,
  reason: null,
  enqueuedAfter: null,
  enqueuedBefore: null,
  group: null
}
t.afterEach(() => blocker.query('delete from holdfast.queues; delete from holdfast.messages'))

/**
 * Starts a task of this caller on a queue of this name. With its first message it has used up its rate
 * for a long time.
 */
async function start(
  caller: string,
  queue: string,
  { messages = 2, to = null as string | null, reason = '' } = {}
): Promise<void> {
  await queues.putQueue(poolA, queue, {})
  await blocker.query(
    `
    insert into holdfast.messages (id, position, enqueued_at, dead_at, queue_id, rank, attempt, body)
    select nextval('holdfast.positions'), n, now(), now(), q.id, 8, 1, '0'
    from holdfast.queues q, generate_series(1, $2::int) n
    where q.name = $1`,
    [queue, messages]
  )
  const selection = { ...everything, where: reason === '' ? null : { ...noFilter, reason } }
  await broker.startRedrive(callerNamed(caller), queue, {
    selection,
    to,
    ratePerSecond: 0.001,
    kind: 'redrive'
  })
}

const standings = (session: Session): Promise<{ name: string; standing: string }[]> =>
  session.query(`
    select q.name, concat_ws(' ', r.state, r.redriven, r.after_id) as standing
    from holdfast.redrives r, holdfast.queues q
    where q.id = r.queue_id
    order by q.name`)

/** Drives what is due. Answers the queues of the steps, in their order, and how many were refused. */
async function drive(
  onStep = async (_callerId: string): Promise<void> => {}
): Promise<{ steps: string[]; refused: number; fault: unknown }> {
  const steps: string[] = []
  let refused = 0
  let fault: unknown = null
  const verbs: Partial<SessionVerbs> = {
    async driveRedrive(session, callerId, onRedriven) {
      await onStep(callerId)
      const before = await standings(session)
      const driven = await redriveTaskVerbs.driveRedrive(session, callerId, onRedriven)
      for (const [index, { name, standing }] of (await standings(session)).entries()) {
        if (standing !== before[index]!.standing) steps.push(name)
      }
      return driven
    }
  }
  await brokerOn(poolA, { verbs })
    .driveRedrives(() => {
      refused++
    })
    .catch((error: unknown) => {
      fault = error
    })
  return { steps, refused, fault }
}

t.test('the task of one caller waits for one step of another, however many tasks that has', async t => {
  for (const n of [1, 2, 3, 4]) await start('crowd', `crowd-${n}`)
  await start('few', 'few-1')
  await start('few', 'few-2')
  await start('last', 'last-1')
  t.strictSame(await drive(), {
    steps: ['crowd-1', 'few-1', 'last-1', 'crowd-2', 'few-2', 'crowd-3', 'crowd-4'],
    refused: 0,
    fault: null
  })
})

t.test('the tasks of one caller take turns in the turns of their caller', async t => {
  // The steps of a task that finds nothing follow one another at once.
  for (const n of [1, 2]) await start('crowd', `crowd-${n}`, { messages: 4001, reason: 'none' })
  await start('few', 'few-1', { messages: 4001, reason: 'none' })
  const round = ['crowd-1', 'few-1', 'crowd-2', 'few-1', 'crowd-1', 'few-1']
  t.strictSame((await drive()).steps, [...round, 'crowd-2', 'crowd-1', 'crowd-2'])
})

t.test('what begins in a round has its turn in the next one', async t => {
  for (const n of [1, 2, 3]) await start('crowd', `crowd-${n}`)
  let isFirst = true
  const { steps } = await drive(async () => {
    if (isFirst) await start('late', 'late-1')
    isFirst = false
  })
  t.strictSame(steps, ['crowd-1', 'crowd-2', 'late-1', 'crowd-3'])
})

t.test('tasks that the release before has begun count as those of one caller', async t => {
  for (const n of [1, 2, 3]) await start('old', `old-${n}`)
  await blocker.query('update holdfast.redrives set caller_id = default')
  await start('few', 'few-1')
  t.strictSame((await drive()).steps, ['old-1', 'few-1', 'old-2', 'old-3'])
})

t.test('a task that another replica is at is passed by, in the turn of its caller', async t => {
  for (const n of [1, 2]) await start('crowd', `crowd-${n}`)
  await start('few', 'few-1')
  await blocker.query('begin')
  await blocker.query('select from holdfast.redrives order by id limit 1 for update')
  t.strictSame((await drive()).steps, ['crowd-2', 'few-1'])
  await blocker.query('commit')
  t.strictSame((await drive()).steps, ['crowd-1'])
})

t.test('refused tasks of one caller, and its faults, keep no other waiting', async t => {
  await blocker.query("alter table holdfast.queues add constraint refused check (name <> 'refused')")
  for (const n of [1, 2, 3]) await start('crowd', `crowd-${n}`, { to: 'refused' })
  for (const n of [1, 2]) await start('few', `few-${n}`)
  t.strictSame(await drive(), {
    steps: ['crowd-1', 'few-1', 'crowd-2', 'few-2', 'crowd-3'],
    refused: 3,
    fault: null
  })
  await blocker.query('alter table holdfast.queues drop constraint refused')
  await start('crowd', 'crowd-4')
  for (const n of [3, 4]) await start('few', `few-${n}`)
  const fault = new Error('a fault')
  const onStep = async (callerId: string) => {
    if (callerId === 'crowd') throw fault
  }
  t.strictSame(await drive(onStep), { steps: ['few-3'], refused: 0, fault }, 'a pause follows')
  t.strictSame((await drive()).steps, ['crowd-4', 'few-4'])
})
