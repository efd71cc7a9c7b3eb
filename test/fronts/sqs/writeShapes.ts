/** Makes src/fronts/sqs/shapes.ts from the schemas that @aws-sdk/client-sqs exports. */
import * as sdk from '@aws-sdk/client-sqs'
import { format, resolveConfig } from 'prettier'

/** A schema as the package writes it: kind, namespace, name, traits, and what the kind needs. */
type Schema = readonly [number, string, string, any, ...any[]]

const kinds = { structure: 3, error: -3, operation: 9, list: 1, map: 2 }
const scalars: Record<number, string> = { 0: 'string', 1: 'integer', 2: 'boolean', 21: 'blob' }
/** Added to the kind of a list's member. */
const listFlag = 64

const resolve = (schema: any): any => (typeof schema === 'function' ? schema() : schema)
/** A schema, and the traits that its place adds. */
const parts = (given: any): [any, any] => {
  const schema = resolve(given)
  const isPair = Array.isArray(schema) && schema.length === 2
  return isPair ? [resolve(schema[0]), schema[1] || {}] : [schema, {}]
}

function shapeOf(given: any, member: string): unknown {
  const [schema, traits] = parts(given)
  if (typeof schema === 'number' && schema < listFlag) return scalars[schema]
  const name = traits.xmlFlattened ? (traits.xmlName ?? member) : member
  if (typeof schema === 'number') return { list: scalars[schema - listFlag], name }
  const [kind, , own, , first, second] = schema as Schema
  if (kind === kinds.structure) return own
  const [item, itemTraits] = parts(first)
  if (kind === kinds.list) {
    const itemName = traits.xmlFlattened ? '' : `.${itemTraits.xmlName ?? 'member'}`
    return { list: shapeOf(item, member), name: name + itemName }
  }
  const [value, valueTraits] = parts(second)
  return { map: shapeOf(value, member), name, key: itemTraits.xmlName, value: valueTraits.xmlName }
}

/** The text of the file. */
export async function shapesText(): Promise<string> {
  const schemas = Object.entries(sdk)
    .filter(([name]) => name.endsWith('$'))
    .map(([, schema]) => schema as unknown as Schema)
    .filter(schema => Array.isArray(schema) && schema[1] === 'com.amazonaws.sqs')
    .sort(([, , a], [, , b]) => (a < b ? -1 : 1))
  const of = (wanted: number) => schemas.filter(([kind]) => kind === wanted)
  const structures = of(kinds.structure).map(([, , name, , names, members, required = 0]) => [
    name,
    {
      required: names.slice(0, required),
      members: Object.fromEntries(names.map((key: string, i: number) => [key, shapeOf(members[i], key)]))
    }
  ])
  const operations = of(kinds.operation).map(([, , name, , input, output]) => {
    const result = resolve(output)
    return [name, { input: resolve(input)[2], output: result === 'unit' ? null : result[2] }]
  })
  const errors = of(kinds.error).map(([, , name, traits]) => {
    const [legacy, status] = traits.awsQueryError ?? [name, traits.httpError ?? 400]
    return [name, { legacy, status }]
  })
  const table = (name: string, rows: unknown[], type: string) =>
    `export const ${name} = ${JSON.stringify(Object.fromEntries(rows as [string, unknown][]))} ${type}\n`
  const text =
    '/**\n * The operations of SQS, their shapes and their errors. Made from @aws-sdk/client-sqs by\n' +
    ' * HOLDFAST_TEST_WRITE=1 node test/fronts/sqs/shapes.test.ts. Do not edit.\n */\n' +
    "import type { ErrorTable, OperationTable, StructureTable } from './shape.ts'\n\n" +
    table('operations', operations, 'as const satisfies OperationTable') +
    '\n' +
    table('structures', structures, 'as const satisfies StructureTable') +
    '\n' +
    table('errors', errors, 'as const satisfies ErrorTable')
  return await format(text, { ...(await resolveConfig(import.meta.filename)), parser: 'typescript' })
}
