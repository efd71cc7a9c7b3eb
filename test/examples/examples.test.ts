/** The examples and the README's own lines, run as they stand, as real processes against a real service. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { service, type Client } from '../support/service.ts'

const python = spawnSync('python3', ['--version']).status === 0
const noPython = python ? false : 'python3 is not installed'
const programs: Record<string, (role: string) => string[]> = {
  shell: (role) => ['bash', `docs/examples/shell/${role}.sh`],
  typescript: (role) => [process.execPath, `docs/examples/typescript/${role}.ts`],
  ...(python ? { python: (role: string) => ['python3', `docs/examples/python/${role}.py`] } : {})
}

let holdfast: Client
t.before(async () => { holdfast = await service(t) })

interface Running { child: ChildProcess, ended: Promise<unknown[]>, lines: string[], line: (pattern: RegExp) => Promise<RegExpExecArray> }

/** Starts an example; `line` waits for output that fits. Killed when `t` ends. */
function run (t: Test, [command, ...args]: string[], queue: string, env: Record<string, string> = {}): Running {
  const child = spawn(command!, args, { env: { PATH: process.env.PATH, QUEUE_URL: `${holdfast.url}/queues/${queue}`, PYTHONDONTWRITEBYTECODE: '1', ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const lines: string[] = []
  let closed = false
  const output = createInterface({ input: child.stdout! }).on('line', (line) => lines.push(line)).on('close', () => { closed = true })
  t.teardown(async () => { child.kill('SIGKILL'); child.stdout!.destroy(); await ended })
  return {
    child,
    ended,
    lines,
    async line (pattern) {
      for (let at = 0; ; at++) {
        while (at >= lines.length) {
          if (closed) throw new Error(`ended without ${pattern}: ${lines.join(' | ')}`)
          await new Promise<void>((resolve) => output.once('line', () => resolve()).once('close', () => resolve()))
        }
        const match = pattern.exec(lines[at]!)
        if (match !== null) return match
      }
    }
  }
}

t.test('every producer is confirmed, and every worker works and acks what it enqueued', async (t) => {
  await Promise.all(Object.entries(programs).flatMap(([from, producer]) => Object.entries(programs).map(async ([to, worker]) => {
    const queue = `${from}-to-${to}`
    const enqueued = run(t, [...producer('producer'), 'first', 'second "quoted"'], queue)
    const ids = [(await enqueued.line(/^enqueued (\d+)$/))[1]]
    await enqueued.ended
    ids.push(/\d+/.exec(enqueued.lines[1]!)![0])
    const working = run(t, worker('worker'), queue, { WORK_SECONDS: '0.05' })
    for (const id of ids) await working.line(new RegExp(`^acked ${id}$`))
    t.match(working.lines[0], new RegExp(`^working ${ids[0]} attempt 1 .*first`), queue)
    t.match((await holdfast.get(`/queues/${queue}`)).body.counts, { ready: 0, leased: 0 })
    working.child.kill('SIGTERM')
    t.strictSame((await working.ended)[0], 0, `${queue}: ends at SIGTERM`)
  })))
})

t.test('a worker killed in the middle of its work: another one gets the message as attempt 2', { skip: noPython }, async (t) => {
  await holdfast.call('PUT', '/queues/killed', { leaseSeconds: 1 })
  const producer = run(t, ['python3', 'docs/examples/python/producer.py', 'precious'], 'killed')
  const [, id] = await producer.line(/^enqueued (\d+)$/)
  const first = run(t, ['python3', 'docs/examples/python/worker.py'], 'killed', { WORK_SECONDS: '600' })
  await first.line(new RegExp(`^working ${id} attempt 1 `))
  first.child.kill('SIGKILL')
  const second = run(t, ['python3', 'docs/examples/python/worker.py'], 'killed', { WORK_SECONDS: '0' })
  await second.line(new RegExp(`^working ${id} attempt 2 `))
  await second.line(new RegExp(`^acked ${id}$`))
  t.pass()
})

t.test('a worker told to stop gives back what it holds, and the attempt does not count', async (t) => {
  for (const [name, program] of Object.entries(programs)) {
    const queue = `stopped-${name}`
    const { body: { id } } = await holdfast.post(`/queues/${queue}/messages`, { body: 1 })
    const working = run(t, program('worker'), queue, { WORK_SECONDS: '600' })
    await working.line(/^working/)
    working.child.kill('SIGTERM')
    await working.ended
    t.match((await holdfast.get(`/queues/${queue}/messages/${id}`)).body, { state: 'ready', attempt: 0 }, name)
  }
})

t.test('send and wait: the producer learns of the ack, and not before', { skip: noPython }, async (t) => {
  const sender = run(t, ['python3', 'docs/examples/python/send_and_wait.py', 'tell me'], 'confirmed')
  const [, id] = await sender.line(/^enqueued (\d+)$/)
  t.match((await holdfast.get(`/queues/confirmed/messages/${id}`)).body, { state: 'ready' })
  t.equal(sender.lines.length, 1, 'nothing yet')
  const worker = run(t, ['python3', 'docs/examples/python/worker.py'], 'confirmed', { WORK_SECONDS: '0.2' })
  await worker.line(new RegExp(`^acked ${id}$`))
  await sender.line(new RegExp(`^acked ${id}$`))
  t.strictSame((await sender.ended)[0], 0)
})

t.test("the README's lines work as they stand", async (t) => {
  const readme = await readFile('README.md', 'utf8')
  const blocks = [...readme.matchAll(/```bash\n([^]*?)```/g)].map((block) => block[1]!).filter((block) => block.includes('curl'))
  t.ok(blocks.length > 0)
  const script = blocks.join('\n').replaceAll('http://127.0.0.1:8080', holdfast.url)
  const { status, stdout, stderr } = await new Promise<{ status: number | null, stdout: string, stderr: string }>((resolve) => {
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script])
    let [stdout, stderr] = ['', '']
    child.stdout.on('data', (data) => { stdout += data })
    child.stderr.on('data', (data) => { stderr += data })
    child.on('close', (status) => resolve({ status, stdout, stderr }))
  })
  t.equal(status, 0, stderr)
  t.notMatch(stdout, /"status":[45]/)
  t.match(stdout, /"id":"\d+"[^]*"receipt"[^]*"outcome":"acked"/)
})
