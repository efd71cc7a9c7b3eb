/**
 * `node bench/router.ts`: what the router of cells costs. The same service is called directly and
 * through HAProxy in turns, and each call enqueues one message. docs/scaling.md shows the table.
 * It needs Debian's haproxy.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect, createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { configOf, mapOf } from '../src/cells/haproxy.ts'
import { Placement } from '../src/core/placement.ts'
import { startEmbedded } from '../src/store/setup/embedded.ts'
import { cpuOf, drive } from './measure.ts'
import { base } from './setUps.ts'
import { empty, startSubject, type Subject } from './subjects.ts'

const callerCounts = [64, 256]
const rounds = 5

interface Figures {
  requestsPerSecond: number
  p50Ms: number
  serviceUs: number
  routerUs: number
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** HAProxy as `holdfast cells config` sets it up, before one cell. */
async function startRouter(
  folder: string,
  port: number
): Promise<{ port: number; pid: number; stop(): void }> {
  const replicas = [`http://127.0.0.1:${port}`]
  const placement = new Placement({
    cells: { a: { databaseUrl: 'postgresql:///', replicas } },
    prefixes: { '': 'a' },
    queues: { bench: 'a' },
    moving: {}
  })
  const mapFile = join(folder, 'holdfast.map')
  const configFile = join(folder, 'haproxy.cfg')
  const own = await freePort()
  await writeFile(mapFile, mapOf(placement))
  await writeFile(configFile, configOf(placement, { mapFile, bind: `127.0.0.1:${own}`, desks: replicas }))
  const child = spawn('haproxy', ['-f', configFile], { stdio: ['ignore', 'ignore', 'inherit'] })
  await once(child, 'spawn')
  while (!(await answers(own)));
  return { port: own, pid: child.pid!, stop: () => child.kill('SIGTERM') }
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  const isOpen = await once(socket, 'connect').then(
    () => true,
    () => false
  )
  socket.destroy()
  return isOpen
}

async function slice(subject: Subject, port: number, routerPid: number, callers: number): Promise<Figures> {
  await empty(subject)
  const readings: Promise<(number | null)[]>[] = []
  const result = await drive({ ...subject, port }, { ...base, callers, step: 'enqueue' }, () =>
    readings.push(Promise.all([subject.pid, routerPid].map(cpuOf)))
  )
  if (result.errors > 0) throw new Error(result.error!)
  const [before, after] = await Promise.all(readings)
  const usedUs = (index: number) => ((after![index]! - before![index]!) * 1000) / result.messages
  return {
    requestsPerSecond: (result.messages * 1000) / result.windowMs,
    p50Ms: result.p50Ms,
    serviceUs: usedUs(0),
    routerUs: usedUs(1)
  }
}

const say = (line: string) => process.stdout.write(`${line}\n`)
const median = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!

const folder = await mkdtemp(join(tmpdir(), 'holdfast-router-'))
const postgres = await startEmbedded(join(folder, 'data'), () => {})
const subject = await startSubject('holdfast', postgres)
const router = await startRouter(folder, subject.port)
try {
  say('| callers | way | requests a second | p50 | service | HAProxy |')
  say('|---|---|---|---|---|---|')
  for (const callers of callerCounts) {
    const figures: Record<string, Figures[]> = { direct: [], 'through HAProxy': [] }
    for (let round = 0; round < rounds; round++) {
      for (const [way, own] of Object.entries(figures)) {
        own.push(await slice(subject, way === 'direct' ? subject.port : router.port, router.pid, callers))
      }
    }
    for (const [way, own] of Object.entries(figures)) {
      const of = (name: keyof Figures) => median(own.map(each => each[name]))
      const rate = Math.round(of('requestsPerSecond')).toLocaleString('en')
      const [service, haproxy] = [of('serviceUs'), of('routerUs')].map(us => `${us.toFixed(0)} µs`)
      say(`| ${callers} | ${way} | ${rate} | ${of('p50Ms').toFixed(1)} ms | ${service} | ${haproxy} |`)
    }
  }
} finally {
  router.stop()
  await subject.stop()
  await postgres.stop()
  await rm(folder, { recursive: true, force: true })
}
