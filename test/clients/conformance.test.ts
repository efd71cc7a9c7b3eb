/** One scenario, run by every client: the steps of scenario.json. */
import { readFile } from 'node:fs/promises'
import t from 'tap'
import { Client, HoldfastError } from '../../src/client/index.ts'
import { service } from '../support/service.ts'
import { noPython, runPython } from './setup.ts'

interface Step {
  /** A method of the client in TypeScript. Others spell it in their own way. */
  call: string
  topic?: string
  queue?: string
  id?: string
  schedule?: string
  with?: Record<string, unknown>
  list?: unknown[]
  /** A part of the answer. "*" is any value. */
  gives?: unknown
  /** The code of the error. */
  refuses?: string
  /** Later steps name the answer so, as "$name.path". */
  as?: string
}

const file = 'test/clients/scenario.json'
const steps: Step[] = JSON.parse(await readFile(file, 'utf8'))

t.test('TypeScript', async t => {
  const { url } = await service(t)
  const client = new Client({ url, retrySeconds: 0 }) as unknown as Record<
    string,
    (...args: unknown[]) => unknown
  >
  const saved: Record<string, unknown> = {}
  for (const [index, written] of steps.entries()) {
    const step = filled(written, saved) as Step
    const names = [step.topic, step.queue, step.id, step.schedule].filter(name => name !== undefined)
    const method = step.list === undefined ? step.call : step.call.replace(/^ackMany$/, 'ack')
    const args = [...names, ...[step.list ?? step.with].filter(given => given !== undefined)]
    const about = `${index + 1}. ${step.call}`
    try {
      const answer = await client[method]!(...args)
      t.equal(step.refuses, undefined, about)
      if (step.gives !== undefined) t.ok(fits(step.gives, answer), `${about}: ${JSON.stringify(answer)}`)
      if (step.as !== undefined) saved[step.as] = answer
    } catch (error) {
      t.equal(error instanceof HoldfastError ? error.code : String(error), step.refuses, about)
    }
  }
})

t.test('Python', { skip: noPython }, async t => {
  const { url } = await service(t)
  const { code, said } = await runPython(['-m', 'tests.conformance', `../../${file}`], url)
  t.equal(code, 0, said)
  t.match(said, `${steps.length} steps`)
})

/** The value, with "$name.path" replaced by what an earlier step gave. */
function filled(value: unknown, saved: Record<string, any>): unknown {
  if (Array.isArray(value)) return value.map(each => filled(each, saved))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, filled(each, saved)]))
  }
  if (typeof value !== 'string' || !value.startsWith('$')) return value
  return value
    .slice(1)
    .split('.')
    .reduce<any>((found, step) => found[step], saved)
}

function fits(expected: unknown, actual: any): boolean {
  if (expected === '*') return actual !== undefined && actual !== null
  if (Array.isArray(expected)) {
    return (
      Array.isArray(actual) &&
      actual.length === expected.length &&
      expected.every((each, i) => fits(each, actual[i]))
    )
  }
  if (typeof expected === 'object' && expected !== null) {
    return Object.entries(expected).every(([name, each]) => fits(each, actual?.[name]))
  }
  return expected === actual
}
