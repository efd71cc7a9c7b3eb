/** Starts the desk as a service of its own. */
import { pino } from 'pino'
import { listen } from '../../fronts/shared/listening.ts'
import { WatchedPlacement } from '../placementFile.ts'
import { buildDesk, type DeskOptions } from './server.ts'

interface DeskSettings extends Omit<DeskOptions, 'placement' | 'log'> {
  host: string
  port: number
  logLevel: string
}

/** Serves until `stop` is called. Answers where. */
export async function startDesk(
  { host, port, logLevel, ...bounds }: DeskSettings,
  file: string,
  say: (line: string) => void
): Promise<{ url: string; stop: () => Promise<void> }> {
  const log = pino({ level: logLevel })
  const placement = await WatchedPlacement.open(file, error => {
    log.warn({ err: error }, 'The placement file cannot be read. The desk goes on with what it knows.')
  })
  const app = buildDesk({ placement, log, ...bounds })
  const { url, stop } = await listen(app, { host, port, backlog: bounds.connectionsMax })
  say(`The desk serves on ${url}.`)
  return { url, stop }
}
