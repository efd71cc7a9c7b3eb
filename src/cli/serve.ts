/** holdfast serve: the service, until it is told to stop. */
import cluster from 'node:cluster'
import closeWithGrace from 'close-with-grace'
import type { Command } from './command.ts'

/** One statement may take 15 s. A process manager waits longer than this before it kills. */
export const stopMsMax = 20_000

export const serve: Command = {
  summary: 'run the service (npm start)',
  about: `
Runs one replica. It brings the database to this release's schema and serves until SIGTERM or Ctrl-C. Then it
finishes what was begun and exits with 0. A second signal ends it at once. Any number of replicas may share
one database. With HOLDFAST_PROCESSES=auto a replica uses every core of its machine.

Without HOLDFAST_DATABASE_URL it starts a PostgreSQL of its own under HOLDFAST_DATA_DIR. See all settings
with holdfast help.`,
  flags: {},
  async run({ config, say: print }) {
    if (cluster.isWorker) {
      const { serveAsOneOfSeveral } = await import('../processes/server.ts')
      return await serveAsOneOfSeveral(config(), stopMsMax)
    }
    const settings = config()
    const [{ pino }, start] = await Promise.all([import('pino'), starter(settings)])
    // In a terminal, people read these lines. Anywhere else they are lines of the log, at every log
    // level.
    const isForPeople = process.stdout.isTTY
    const log = pino()
    const say = isForPeople ? print : (line: string) => log.info(line)
    const service = await start(settings, say)
    closeWithGrace({ delay: stopMsMax, logger: false }, async ({ err }) => {
      if (err) process.stderr.write(`${err.stack}\n`)
      say('Stopping. What was begun is finished first.')
      await service.stop()
    })
    const served = `Holdfast serves on ${service.url}, with its messages in ${service.database}.`
    say(isForPeople ? welcome(service.url, served) : served)
  }
}

/** What starts the service: in this process, or in several. */
async function starter({ processes }: { processes: number }) {
  if (processes === 1) return (await import('../service.ts')).startService
  return (await import('../processes/first.ts')).startProcesses
}

function welcome(url: string, served: string): string {
  const post = `curl -X POST ${url}/queues/mail`
  const json = "-H 'content-type: application/json' -d"
  return `
${served}

  Enqueue   ${post}/messages ${json} '{"body": {"to": "ada@example.org"}}'
  Lease     ${post}/lease
  Ack       ${post}/ack ${json} '{"receipt": "…from the lease…"}'

  Console ${url}/console    Swagger UI ${url}/docs    Stop with Ctrl-C
`
}
