/** Celery and sqs-consumer lose no message when worker and service are killed in the middle. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, watch, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { CreateQueueCommand } from '@aws-sdk/client-sqs'
import { Producer } from 'sqs-producer'
import t, { type Test } from 'tap'
import { pollPause } from '../../support/pollPause.ts'
import { python, withoutPackage } from '../../support/debian.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { serviceProcess, type Client } from '../../support/service.ts'
import { sdkClient } from './callers.ts'

interface Killed {
  /** Starts a program that is given the variables, beside the file RUNS. It ends with the test. */
  start: (program: string, args: string[], env: Record<string, string>) => ChildProcess
  holdfast: Client
  port: string
}

/**
 * Kills a worker once 8 names are in its file of runs, and the service once there are 16. Answers
 * when each name was there last, once there are `count` and the queue is empty.
 */
async function kill(
  t: Test,
  queue: string,
  count: number,
  prepare: (with_: Killed) => Promise<() => ChildProcess>
): Promise<Map<string, number>> {
  const { url: HOLDFAST_DATABASE_URL } = await freshDatabase(t)
  const first = await serviceProcess(t, { HOLDFAST_DATABASE_URL })
  const { port } = new URL(first.url)
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-losses-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const RUNS = join(folder, 'runs')
  await writeFile(RUNS, '')
  const runs = async () => {
    const lines = (await readFile(RUNS, 'utf8')).trim().split('\n')
    return new Map(lines.map(line => line.split(' ')).map(([name, at]) => [name!, Number(at)]))
  }
  const untilRun = async (names: number) => {
    const changes = watch(RUNS)[Symbol.asyncIterator]()
    while ((await runs()).size < names) await changes.next()
    await changes.return?.()
  }
  const killGroup = ({ pid, exitCode, signalCode }: ChildProcess) => {
    if (exitCode === null && signalCode === null) process.kill(-pid!, 'SIGKILL')
  }
  const start: Killed['start'] = (program, args, env) => {
    const child = spawn(program, args, {
      cwd: import.meta.dirname,
      env: { PATH: process.env.PATH, HOME: folder, PYTHONDONTWRITEBYTECODE: '1', RUNS, ...env },
      stdio: ['ignore', 'ignore', 'inherit'],
      detached: true
    })
    t.teardown(() => killGroup(child))
    return child
  }

  const startWorker = await prepare({ start, holdfast: first, port })
  const killed = startWorker()
  await untilRun(8)
  killGroup(killed)
  startWorker()
  await untilRun(16)
  first.child.kill('SIGKILL')
  await first.ended
  const second = await serviceProcess(t, { HOLDFAST_DATABASE_URL, HOLDFAST_PORT: port })
  await untilRun(count)
  const open = async () => {
    const { ready, leased, delayed, dead } = (await second.get(`/queues/${queue}`)).body.counts
    return ready + leased + delayed + dead
  }
  while ((await open()) > 0) await pollPause()
  return await runs()
}

const skip = withoutPackage('python3-celery', 'python3-boto3', 'python3-pycurl')

t.test('Celery with late acks, a retry and a task that is due later', { skip }, async t => {
  // 30 tasks, two runs of the one that fails once, the one that is due later, and the note of sending.
  const at = await kill(t, 'celery', 30 + 2 + 1 + 1, async ({ start, port }) => {
    const env = { BROKER: `sqs://any:any@127.0.0.1:${port}`, PYTHONWARNINGS: 'ignore' }
    t.strictSame(await once(start(python, ['tasks.py'], env), 'exit'), [0, null])
    const worker = ['-m', 'celery', '-A', 'tasks', 'worker', '--concurrency=2', '--loglevel=critical']
    const alone = ['--without-gossip', '--without-mingle', '--without-heartbeat']
    return () => start(python, [...worker, ...alone], env)
  })
  t.ok(at.get('again-1')! - at.get('again-0')! > 0.9)
  t.ok(at.get('later')! - at.get('sent')! > 1.9)
})

t.test('sqs-consumer', async t => {
  const bodies = Array.from({ length: 30 }, (_, n) => `work-${n}`)
  const at = await kill(t, 'consumed', bodies.length, async ({ start, holdfast }) => {
    const sqs = sdkClient(t, holdfast.url)
    const Attributes = { VisibilityTimeout: '3' }
    const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: 'consumed', Attributes }))
    await Producer.create({ queueUrl: QueueUrl!, sqs }).send(bodies)
    return () => start(process.execPath, ['consumer.ts'], { URL: holdfast.url, QUEUE_URL: QueueUrl! })
  })
  t.strictSame([...at.keys()].sort(), bodies.sort())
})
