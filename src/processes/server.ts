/** A process that serves, of a replica with several. The first process started it. */
import cluster from 'node:cluster'
import { once } from 'node:events'
import closeWithGrace from 'close-with-grace'
import type { Config } from '../config.ts'
import { startService } from '../service.ts'
import { IpcSiblings } from './ipcSiblings.ts'
import type { FromFirst, FromServer } from './messages.ts'

/** Serves until the first process says to stop, or has ended. */
export async function serveAsOneOfSeveral(config: Config, stopMsMax: number): Promise<void> {
  const [starting] = (await once(process, 'message')) as [Extract<FromFirst, { is: 'starting' }>]
  const siblings = new IpcSiblings(starting, send)
  let stopped: () => void
  const stopping = new Promise<void>(resolve => {
    stopped = resolve
  })
  process.on('message', (message: FromFirst) => {
    if (message.is === 'stopping') stopped()
    else siblings.receive(message)
  })
  // Without this, Node ends a process of a cluster at once when the first process has gone.
  cluster.worker!.exitedAfterDisconnect = true
  process.on('disconnect', () => stopped())
  const { close } = closeWithGrace(
    // A terminal and a service manager signal every process of a group. The first one decides.
    { delay: stopMsMax, logger: false, skip: ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'] },
    async ({ err }) => {
      if (err) process.stderr.write(`${err.stack}\n`)
      await service?.stop()
    }
  )
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {})
  const service = await startService(config, line => send({ is: 'saying', line }), siblings).catch(error => {
    send({ is: 'failed', reason: (error as Error).message })
    return null
  })
  if (service === null) return process.disconnect()
  send({ is: 'serving', url: service.url })
  await stopping
  close()
}

function send(message: FromServer, sent: () => void = () => {}): void {
  if (process.connected) process.send!(message, undefined, undefined, () => sent())
}
