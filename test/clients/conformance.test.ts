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
  task?: string
  /** The API key of the caller. */
  key?: string
  with?: Record<string, unknown>
  list?: unknown[]
  /** A part of the answer. "*" is any value. */
  gives?: unknown
  /** The code of the error. */
  refuses?: string
  /** Later steps name the answer so, as "$name.path". "$service.url" is the service. */
  as?: string
}

const file = 'test/clients/scenario.json'
const steps: Step[] = JSON.parse(await readFile(file, 'utf8'))

interface Operation {
  operationId: string
  tags: string[]
  parameters?: { in: string; name: string }[]
  requestBody?: unknown
}

/** Push reaches the service itself, which is the endpoint of the scenario. */
const env = { HOLDFAST_PUSH_PRIVATE: 'on' }

t.test('the scenario has each operation of the contract, and what each takes in its address', async t => {
  const { paths } = JSON.parse(await readFile('openapi/openapi.json', 'utf8'))
  const operations = Object.values<Record<string, Operation>>(paths)
    .flatMap(methods => Object.values(methods))
    .filter(({ tags }) => !tags.includes('Health'))
  t.ok(operations.length > 40)
  for (const { operationId, parameters = [], requestBody } of operations) {
    const taken = steps.filter(({ call, refuses }) => call === verbOf(operationId) && refuses === undefined)
    t.not(taken.length, 0, `a step ${verbOf(operationId)}`)
    // Of those with a body, the scenario sends all in the body.
    const named = requestBody === undefined ? parameters.filter(each => each.in === 'query') : []
    const sent = taken.flatMap(step => Object.keys(step.with ?? {}))
    t.strictSame(
      named.map(({ name }) => name).filter(name => !sent.includes(name)),
      [],
      `no parameter of ${verbOf(operationId)} is left out`
    )
  }
})

t.test('TypeScript', async t => {
  const { url } = await service(t, { env })
  const saved: Record<string, unknown> = { service: { url } }
  for (const [index, written] of steps.entries()) {
    const step = filled(written, saved) as Step
    const client = new Client({ url, key: step.key, retrySeconds: 0 }) as unknown as Record<
      string,
      (...args: unknown[]) => unknown
    >
    const method = step.call.replace(/^(ack|fail|extend|release)Many$/, '$1')
    const args = [step.topic, step.queue, step.id, step.schedule, step.task, step.list ?? step.with]
    const about = `${index + 1}. ${step.call}`
    try {
      const answer = await client[method]!(...args.filter(given => given !== undefined))
      t.equal(step.refuses, undefined, about)
      if (step.gives !== undefined) t.ok(fits(step.gives, answer), `${about}: ${JSON.stringify(answer)}`)
      if (step.as !== undefined) saved[step.as] = answer
    } catch (error) {
      t.equal(error instanceof HoldfastError ? error.code : String(error), step.refuses, about)
    }
  }
})

t.test('Python', { skip: noPython }, async t => {
  const { url } = await service(t, { env })
  const { code, said } = await runPython(['-m', 'tests.conformance', `../../${file}`], url)
  t.equal(code, 0, said)
  t.match(said, `${steps.length} steps`)
})

/** What the clients call an operation, as docs/clients.md says. */
function verbOf(operationId: string): string {
  return operationId
    .replace(/^(?:get|list)(.)/, (_, letter: string) => letter.toLowerCase())
    .replace(/^(cancel|explain)Message$/, '$1')
}

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
