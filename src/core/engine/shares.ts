/** Every bound that callers share, in one table. */
import type { Code } from '../errors.ts'
import { pushRequestsMax, streamsMax } from '../limits.ts'
import { Share, type ShareReport } from './share.ts'

interface SharesOptions {
  /** Bytes of messages that may wait for a flush. */
  waitingBytesMax: number
  /** Calls that may wait for messages. */
  waitersMax: number
  /** Connections of callers. */
  connectionsMax: number
}

interface Row {
  /** As a refusal names it. */
  what: string
  total: (options: SharesOptions) => number
  /** The code of the refusal when the total is used up. */
  code: Code
}

/** Messages and receipts that wait for a flush. */
const queuedMax = 100_000

const rows = {
  // Twice the bound: the bytes of a message are held once while it is read, and once while it waits.
  requestBytes: {
    what: 'bytes of requests on their way in',
    total: ({ waitingBytesMax }) => 2 * waitingBytesMax,
    code: 'overloaded'
  },
  aheadBytes: {
    what: 'bytes of requests sent ahead of their answers',
    total: ({ waitingBytesMax }) => waitingBytesMax,
    code: 'overloaded'
  },
  answerBytes: {
    what: 'bytes of answers that wait to be read by their callers',
    total: ({ waitingBytesMax }) => 2 * waitingBytesMax,
    code: 'overloaded'
  },
  enqueueBytes: {
    what: 'bytes of messages that wait to be stored',
    total: ({ waitingBytesMax }) => waitingBytesMax,
    code: 'overloaded'
  },
  leases: {
    what: 'messages that calls wait to lease or ack',
    total: () => queuedMax,
    code: 'overloaded'
  },
  settlements: {
    what: 'receipts that wait to be settled',
    total: () => queuedMax,
    code: 'overloaded'
  },
  checks: {
    what: 'checks whether a message has ended',
    total: () => queuedMax,
    code: 'overloaded'
  },
  turns: {
    what: 'calls that wait for their turn at the database',
    total: () => 20_000,
    code: 'overloaded'
  },
  // A search holds its caller's connection for long, so few of them wait.
  searches: {
    what: 'searches and bulk actions that wait for their turn at the database',
    total: () => 200,
    code: 'overloaded'
  },
  waitingCalls: {
    what: 'waiting calls',
    total: ({ waitersMax }) => waitersMax,
    code: 'tooManyWaiting'
  },
  pushRequests: {
    what: 'push requests under way',
    total: () => pushRequestsMax,
    code: 'overloaded'
  },
  pushBytes: {
    what: 'bytes of push requests under way',
    total: ({ waitingBytesMax }) => 2 * waitingBytesMax,
    code: 'overloaded'
  },
  connections: {
    what: 'open connections',
    total: ({ connectionsMax }) => connectionsMax,
    code: 'overloaded'
  },
  consolePages: {
    what: 'open pages of the console',
    total: () => streamsMax,
    code: 'tooManyWaiting'
  }
} satisfies Record<string, Row>

export type Shares = Record<keyof typeof rows, Share>

/** Opens every bound of the table. */
export function openShares(options: SharesOptions): Shares {
  const opened = Object.entries<Row>(rows).map(([name, { what, total, code }]) => [
    name,
    new Share({ name: snakeCase(name), what, total: total(options), code })
  ])
  return Object.fromEntries(opened) as Shares
}

/** Callers named of each bound, those that hold most. */
const namedMax = 10

/** Who holds how much of every bound. */
export function reportShares(shares: Shares): ShareReport[] {
  return Object.values(shares).map(share => share.report(namedMax))
}

/** The reports of several processes as one. */
export function joinReports([first = [], ...others]: ShareReport[][]): ShareReport[] {
  return first.map(report => {
    const all = [report, ...others.flat().filter(({ name }) => name === report.name)]
    const held = new Map<string, number>()
    for (const { id, held: more } of all.flatMap(({ callers }) => callers)) {
      held.set(id, (held.get(id) ?? 0) + more)
    }
    return {
      ...report,
      held: all.reduce((sum, { held }) => sum + held, 0),
      refused: all.reduce((sum, { refused }) => sum + refused, 0),
      callers: [...held]
        .map(([id, held]) => ({ id, held }))
        .sort((a, b) => b.held - a.held)
        .slice(0, namedMax)
    }
  })
}

const snakeCase = (name: string) => name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
