/** Many ReceiveMessage calls that wait: they cost no transaction each, and all of them are answered. */
import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { connect as connectSql, msSince, untilWaiting } from '../../faults/setup.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { serviceProcess } from '../../support/service.ts'
import { jsonCaller } from './callers.ts'

const count = 500
/** What a replica does by itself, with room to spare. */
const backgroundPerSecond = 30
const database = await freshDatabase(t)
const holdfast = await serviceProcess(t, { HOLDFAST_DATABASE_URL: database.url })
const sql = await connectSql(t, database.url)
const call = jsonCaller(t, holdfast.url)
const { QueueUrl } = await call('CreateQueue', { QueueName: 'q' })

/** One call on a connection of its own. Answers what comes, once all of it has come. */
async function receive(waitSeconds: number): Promise<string> {
  const socket = connect(Number(new URL(holdfast.url).port), '127.0.0.1')
  await once(socket, 'connect')
  const body = JSON.stringify({ QueueUrl, WaitTimeSeconds: waitSeconds })
  socket.write(
    'POST / HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n' +
      'content-type: application/x-amz-json-1.0\r\nx-amz-target: AmazonSQS.ReceiveMessage\r\n' +
      `content-length: ${body.length}\r\n\r\n${body}`
  )
  let answer = ''
  for await (const bytes of socket) answer += bytes
  return answer
}

/** Opens all calls, a hundred at a time, so that the system takes every connection. */
async function receiveMany(waitSeconds: number): Promise<Promise<string>[]> {
  const answers: Promise<string>[] = []
  for (let opened = 0; opened < count; opened = answers.length) {
    while (answers.length < Math.min(count, opened + 100)) answers.push(receive(waitSeconds))
    await untilWaiting(holdfast, answers.length)
  }
  return answers
}

async function transactions(): Promise<number> {
  const { rows } = await sql.query(`
    select xact_commit + xact_rollback as n from pg_stat_database where datname = current_database()`)
  return Number(rows[0].n)
}

t.test('until the end of WaitTimeSeconds', async t => {
  const waitSeconds = 20
  const answers = await receiveMany(waitSeconds)
  const startedMs = performance.now()
  const before = await transactions()
  for (const answer of await Promise.all(answers)) {
    if (!/^HTTP\/1.1 200 .*\r\n\r\n\{\}$/s.test(answer)) t.fail(answer)
  }
  const made = (await transactions()) - before
  t.comment(`${count} calls: ${made} transactions in ${msSince(startedMs)} ms`)
  t.ok(made < backgroundPerSecond * waitSeconds + count / 4, `${made} transactions while they wait`)
})

t.test('until messages come', async t => {
  const answers = await receiveMany(20)
  const startedMs = performance.now()
  for (let sent = 0; sent < count; sent += 10) {
    const Entries = Array.from({ length: 10 }, (_, i) => ({ Id: `${i}`, MessageBody: `${sent + i}` }))
    await call('SendMessageBatch', { QueueUrl, Entries })
  }
  const bodies = (await Promise.all(answers)).map(answer => /"Body":"(\d+)"/.exec(answer)?.[1])
  t.comment(`${count} calls answered in ${msSince(startedMs)} ms`)
  t.equal(new Set(bodies).size, count, 'each call gets a message of its own')
  t.notOk(bodies.includes(undefined))
})
