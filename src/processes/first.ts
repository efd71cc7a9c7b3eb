/**
 * The first process of a replica with several. It holds the port and the embedded PostgreSQL, starts
 * the processes that serve, and replaces one that dies. It serves nothing itself.
 */
import cluster, { type Worker } from 'node:cluster'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { pino } from 'pino'
import type { Config } from '../config.ts'
import { preparePostgres, type Service } from '../service.ts'
import type { FromFirst, FromServer } from './messages.ts'
import { Relay, type Member } from './relay.ts'

const restartMsMin = 100
const restartMsMax = 10_000
const doublingsMax = 7
/** A process that lived for so long is replaced at once. */
const soundMs = 10_000

/** Starts the replica. When one of its processes cannot start, it ends the others and throws. */
export async function startProcesses(config: Config, say: (line: string) => void): Promise<Service> {
  const postgres = await preparePostgres(config, say)
  const processes = new Processes(config, say)
  try {
    const url = await processes.start()
    return {
      url,
      database: postgres.name,
      async stop() {
        await processes.stop().finally(() => postgres.stop())
      }
    }
  } catch (error) {
    await processes.stop().finally(() => postgres.stop())
    throw error
  }
}

class Processes {
  readonly #count: number
  readonly #say: (line: string) => void
  readonly #relay = new Relay()
  readonly #replica = randomUUID().slice(0, 8)
  readonly #running = new Set<Worker>()
  readonly #log
  readonly #stopping = new AbortController()

  constructor({ processes, logLevel }: Config, say: (line: string) => void) {
    this.#count = processes
    this.#say = say
    this.#log = pino({ level: logLevel })
    // The first process takes each connection and gives it to the next in turn, so that all have
    // equally many.
    cluster.schedulingPolicy = cluster.SCHED_RR
    // The threads that Node.js collects garbage with would take cores from the other processes.
    cluster.setupPrimary({ execArgv: [...process.execArgv, '--single-threaded-gc'] })
  }

  /** Answers where the processes serve, once all do. */
  async start(): Promise<string> {
    // What the first one says of the start holds for all.
    const url = await this.#serve(this.#say, 0)
    await Promise.all(Array.from({ length: this.#count - 1 }, (_, i) => this.#serve(() => {}, i + 1)))
    return url
  }

  /** Has every process finish what was begun, and waits until they have ended. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    const running = [...this.#running]
    for (const worker of running) send(worker, { is: 'stopping' })
    await Promise.all(running.map(worker => worker.isDead() || once(worker, 'exit')))
  }

  /** Starts the process of this index. Answers where it serves; throws when it cannot. */
  async #serve(say: (line: string) => void, processIndex: number): Promise<string> {
    const worker = cluster.fork()
    send(worker, { is: 'starting', replica: this.#replica, processIndex, processCount: this.#count })
    const member: Member = { id: String(worker.id), send: message => send(worker, message) }
    const startedMs = performance.now()
    this.#running.add(worker)
    return await new Promise((resolve, reject) => {
      let isServing = false
      worker.on('message', (message: FromServer) => {
        if (message.is === 'saying') say(message.line)
        else if (message.is === 'failed') reject(new Error(message.reason))
        else if (message.is === 'serving') {
          isServing = true
          this.#relay.join(member)
          resolve(message.url)
        } else this.#relay.receive(member, message)
      })
      worker.once('exit', (code, signal) => {
        this.#running.delete(worker)
        this.#relay.leave(member)
        if (isServing) {
          this.#replace({ worker, processIndex, code, signal, livedMs: performance.now() - startedMs })
        } else reject(new Error(`A process of the service ended before it served (${signal ?? code}).`))
      })
    })
  }

  async #replace(ended: {
    worker: Worker
    processIndex: number
    code: number
    signal: string
    livedMs: number
  }): Promise<void> {
    const { worker, processIndex, code, signal, livedMs } = ended
    for (let failures = livedMs < soundMs ? 1 : 0; !this.#stopping.signal.aborted; failures++) {
      this.#log.error(
        { part: 'processes', pid: worker.process.pid, code, signal },
        'A process of the service has ended. Another takes its place.'
      )
      const waitMs = failures === 0 ? 0 : restartMsMin * 2 ** Math.min(failures, doublingsMax)
      await pause(Math.min(restartMsMax, waitMs), undefined, { signal: this.#stopping.signal }).catch(
        () => {}
      )
      if (this.#stopping.signal.aborted) return
      const failed = await this.#serve(() => {}, processIndex).then(
        () => null,
        (error: Error) => error
      )
      if (failed === null) return
      this.#log.error({ part: 'processes', err: failed.message }, 'A process of the service cannot start.')
    }
  }
}

/** Sends, unless the process has ended: its end is heard of by itself. */
function send(worker: Worker, message: FromFirst): void {
  if (worker.isConnected()) worker.send(message, () => {})
}
