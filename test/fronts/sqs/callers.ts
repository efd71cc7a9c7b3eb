/** Calls of SQS operations through each protocol: by the AWS SDK, and by a form and its XML. */
import * as sdk from '@aws-sdk/client-sqs'
import type { Test } from 'tap'
import { isScalar, type Shape } from '../../../src/fronts/sqs/shape.ts'
import { operations } from '../../../src/fronts/sqs/shapes.ts'
import { structureNamed } from '../../../src/fronts/sqs/structures.ts'

export type OperationName = keyof typeof operations
/** One call. Throws a Refusal. */
export type CallSqs = (operation: OperationName, input?: Record<string, any>) => Promise<any>

export class Refusal extends Error {
  /** As the query protocol has it. */
  readonly code: string
  readonly status: number
  constructor(code: string, status: number, message: string) {
    super(message)
    this.code = code
    this.status = status
  }
}

export const credentials = { accessKeyId: 'any', secretAccessKey: 'thing' }

export function sdkClient(t: Test, url: string, options: sdk.SQSClientConfig = {}): sdk.SQSClient {
  const client = new sdk.SQSClient({
    endpoint: url,
    region: 'eu-west-1',
    credentials,
    maxAttempts: 1,
    ...options
  })
  t.teardown(() => client.destroy())
  return client
}

export function jsonCaller(t: Test, url: string): CallSqs {
  const client = sdkClient(t, url)
  return async (operation, input = {}) => {
    const Command = (sdk as any)[`${operation}Command`]
    try {
      const { $metadata: _, ...result } = (await client.send(new Command(input))) as any
      return result
    } catch (error: any) {
      if (error.$metadata?.httpStatusCode === undefined) throw error
      throw new Refusal(
        error.Error?.Code ?? error.Code ?? error.name,
        error.$metadata.httpStatusCode,
        error.message
      )
    }
  }
}

export function queryCaller(_t: Test, url: string): CallSqs {
  return async (operation, input = {}) => {
    const fields = new URLSearchParams({ Action: operation, Version: '2012-11-05' })
    addFields(fields, '', input, operations[operation].input)
    const response = await fetch(`${url}/`, { method: 'POST', body: fields })
    const root = parseXml(await response.text())
    if (!response.ok) {
      const error = root.one('ErrorResponse').one('Error')
      throw new Refusal(error.one('Code').text, response.status, error.one('Message').text)
    }
    const { output } = operations[operation]
    const answer = root.one(`${operation}Response`)
    return output === null ? {} : readStructure(answer.one(`${operation}Result`), output)
  }
}

export const callers = { json: jsonCaller, query: queryCaller }

function addFields(fields: URLSearchParams, prefix: string, value: any, structure: string): void {
  for (const [member, shape] of Object.entries(structureNamed(structure).members)) {
    if (value[member] !== undefined) addField(fields, prefix, member, value[member], shape)
  }
}

function addField(fields: URLSearchParams, prefix: string, member: string, value: any, shape: Shape): void {
  const add = (name: string, item: any, of: string) => {
    if (!isScalar(of)) addFields(fields, `${name}.`, item, of)
    else fields.set(name, item instanceof Uint8Array ? Buffer.from(item).toString('base64') : String(item))
  }
  if (typeof shape === 'string') return add(prefix + member, value, shape)
  if ('list' in shape) {
    // As boto does.
    if (value.length === 0) fields.set(prefix + member, '')
    return value.forEach((item: any, i: number) => add(`${prefix}${shape.name}.${i + 1}`, item, shape.list))
  }
  Object.entries(value).forEach(([key, item], i) => {
    fields.set(`${prefix}${shape.name}.${i + 1}.${shape.key}`, key)
    add(`${prefix}${shape.name}.${i + 1}.${shape.value}`, item, shape.map)
  })
}

class Element {
  readonly name: string
  readonly children: Element[] = []
  text = ''
  constructor(name: string) {
    this.name = name
  }
  all = (name: string) => this.children.filter(child => child.name === name)
  one = (name: string): Element => {
    const [child] = this.all(name)
    if (child === undefined) throw new Error(`no <${name}> in <${this.name}>: ${this.text}`)
    return child
  }
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', '#xD': '\r' }

/** Reads the XML that this front writes: no comments, no attributes that matter. */
function parseXml(text: string): Element {
  const root = new Element('')
  const open = [root]
  for (const [, end, name, , empty, content] of text.matchAll(/<(\/?)([\w?]+)([^>]*?)(\/?)>([^<]*)/g)) {
    if (name!.startsWith('?')) continue
    if (end === '/') open.pop()
    else {
      const element = new Element(name!)
      open.at(-1)!.children.push(element)
      if (empty === '/') continue
      element.text = content!.replace(/&([^;]+);/g, (_, entity) => entities[entity]!)
      open.push(element)
    }
  }
  return root
}

function readStructure(element: Element, structure: string): any {
  const read: Record<string, any> = {}
  for (const [member, shape] of Object.entries(structureNamed(structure).members)) {
    const found = element.all(typeof shape === 'string' ? member : shape.name)
    if (found.length === 0) continue
    if (typeof shape === 'string') read[member] = readOne(found[0]!, shape)
    else if ('list' in shape) read[member] = found.map(item => readOne(item, shape.list))
    else {
      read[member] = Object.fromEntries(
        found.map(entry => [entry.one(shape.key).text, readOne(entry.one(shape.value), shape.map)])
      )
    }
  }
  return read
}

function readOne(element: Element, shape: string): any {
  if (!isScalar(shape)) return readStructure(element, shape)
  if (shape === 'integer') return Number(element.text)
  if (shape === 'boolean') return element.text === 'true'
  return shape === 'blob' ? new Uint8Array(Buffer.from(element.text, 'base64')) : element.text
}
