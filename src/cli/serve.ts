/** holdfast serve: the service, until it is told to stop. */
import closeWithGrace from 'close-with-grace'
import type { Command } from './command.ts'

export const serve: Command = {
  summary: 'run the service (npm start)',
  about: `
Runs one replica: brings the database to this release's schema, then serves until SIGTERM or Ctrl-C, finishes what was
begun and exits with 0. A second signal ends it at once. Run as many as you like over one database.

Without HOLDFAST_DATABASE_URL it starts a PostgreSQL of its own under HOLDFAST_DATA_DIR. All settings: holdfast help.`,
  flags: {},
  async run({ config, say }) {
    const { startService } = await import('../service.ts')
    const service = await startService(config(), say)
    // What was begun has a statement's time to finish; the process manager's own patience should be longer.
    closeWithGrace({ delay: 20_000, logger: false }, async ({ err }) => {
      if (err) process.stderr.write(`${err.stack}\n`)
      say('Stopping: finishing what was begun.')
      await service.stop()
    })
    say(welcome(service.url, service.database))
  }
}

function welcome(url: string, database: string): string {
  const post = `curl -X POST ${url}/queues/mail`
  return `
Holdfast serves on ${url}, with its messages in ${database}

  Enqueue   ${post}/messages -H 'content-type: application/json' -d '{"body": {"to": "ada@example.org"}}'
  Lease     ${post}/lease
  Ack       ${post}/ack -H 'content-type: application/json' -d '{"receipt": "…from the lease…"}'

  Console ${url}/console    Swagger UI ${url}/docs    Stop with Ctrl-C
`
}
