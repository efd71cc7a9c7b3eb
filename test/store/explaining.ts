/** Sessions that tell how PostgreSQL ran each statement. */
import pg from 'pg'
import { openDatabase, type Database } from '../../src/store/database.ts'
import type { Session, Statement } from '../../src/store/statement.ts'

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  'Index Name'?: string
  'Shared Hit Blocks': number
  'Shared Read Blocks': number
  Plans?: Plan[]
}
/** Pages touched, and what was scanned how. */
export interface Run {
  pages: number
  scans: string[]
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!

/**
 * A session of the service's own kind that also tells how each statement ran: the plan that was
 * used, generic as it is there, from auto_explain.
 */
export function explaining(url: string): {
  database: Database
  session: Session
  runs: Map<string, Run>
  seen: Map<string, number[]>
} {
  const runs = new Map<string, Run>()
  const seen = new Map<string, number[]>()
  let name = ''
  class Client extends pg.Client {
    constructor(config: pg.ClientConfig) {
      super(config)
      this.on('notice', ({ message }) => {
        if (name === '' || !message?.includes('plan:')) return
        const { pages, scans } = runOf(JSON.parse(message.slice(message.indexOf('{'))).Plan)
        // The median of several runs: any one of them may also have split a page, or cleaned one
        // of dead entries.
        const all = [...(seen.get(name) ?? []), pages]
        seen.set(name, all)
        runs.set(name, { pages: median(all), scans })
      })
    }
  }
  const options = Object.entries({
    log_min_duration: 0,
    log_analyze: 'on',
    log_buffers: 'on',
    log_timing: 'off',
    log_format: 'json',
    log_level: 'notice'
  })
  const database = openDatabase(
    {
      connectionString: url,
      Client,
      options:
        '-c session_preload_libraries=auto_explain ' +
        `${options.map(([option, value]) => `-c auto_explain.${option}=${value}`).join(' ')}`
    } as pg.ClientConfig,
    { poolSize: 1, onError: () => {} }
  )
  // One after another: a plan must be told of the statement that it belongs to.
  let before: Promise<unknown> = Promise.resolve()
  const session: Session = {
    query(statement, values) {
      const rows = before.then(async () => {
        name = (statement as Statement).name
        const rows = await database.query(statement, values)
        name = '' // other sessions' statements are not of the hot path
        return rows
      })
      before = rows.catch(() => {})
      return rows
    }
  }
  return { database, session, runs, seen }
}

function runOf(plan: Plan): Run {
  const run: Run = { pages: 0, scans: [] }
  const pages = (node: Plan) => node['Shared Hit Blocks'] + node['Shared Read Blocks']
  const visit = (node: Plan) => {
    const below = (node.Plans ?? []).reduce((sum, child) => sum + pages(child), 0)
    if (node['Relation Name'] !== undefined) run.pages += Math.max(0, pages(node) - below)
    if (node['Node Type'].includes('Scan') && node['Relation Name'] !== undefined) {
      run.scans.push(`${node['Relation Name']} by ${node['Index Name'] ?? node['Node Type']}`)
    }
    node.Plans?.forEach(visit)
  }
  visit(plan)
  return run
}
