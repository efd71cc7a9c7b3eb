/** Starts the push front, and keeps it up to date with the database. */
import type { Broker } from './core/broker.ts'
import type { Shares } from './core/engine/shares.ts'
import type { Siblings } from './core/engine/siblings.ts'
import type { Wakeups } from './core/engine/wakeups.ts'
import { PushFront } from './fronts/push/front.ts'
import { repeat } from './store/upkeep/repeat.ts'
import type { Tracing } from './tracing/start.ts'

/** A change made on another replica is seen after so long. */
const readPauseMs = 700

interface PushingOptions {
  broker: Broker
  wakeups: Wakeups
  shares: Shares
  siblings: Siblings
  tracing: Tracing | null
  privateToo: boolean
  onError: (error: unknown) => void
}

/** Starts to deliver. A failed read of the pushes goes to `onError`, and is made again. */
export async function startPushing({ siblings, tracing, ...options }: PushingOptions) {
  const { broker, onError } = options
  const { processIndex, processCount } = siblings
  const front = new PushFront({
    ...options,
    processIndex,
    processCount,
    trace: tracing?.traceDelivery ?? null
  })
  const read = () => broker.pushes.read()
  await read().catch(onError)
  const reading = repeat(read, readPauseMs, onError)
  return {
    front,
    async stop(): Promise<void> {
      await reading.stop()
      await front.stop()
    }
  }
}
