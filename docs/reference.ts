/**
 * The tables of docs/client-reference.md: the verbs as the clients declare them, and the shapes as the
 * schemas of the routes check them. docs/tables.ts puts them into the page.
 */
import { readFileSync } from 'node:fs'
import type { TSchema } from 'typebox'
import ts from 'typescript'
import type { Code } from '../src/core/errors.ts'
import { exported, type Shape } from '../src/fronts/rest/clientShapes.ts'
import { contract } from '../src/fronts/rest/contract/index.ts'
import { problems } from '../src/fronts/rest/problems.ts'

/** A file of src/client/verbs, in the order of the page. */
const areas = ['messages', 'settling', 'queues', 'bulk', 'topics', 'push', 'schedules', 'keys'] as const
export type Area = (typeof areas)[number]

interface Signature {
  parameters: { name: string; type: string; isOptional: boolean }[]
  answer: string
}

/** A method of the client. A verb that takes one or a list has two signatures. */
interface Verb {
  name: string
  help: string
  signatures: Signature[]
}

/** Statuses that any call may get. The page lists their codes once, without those of some calls only. */
const anywhere = [400, 401, 403, 413, 415, 429, 503]

/** Verbs that are not called as their operation is. */
const operationOf = (verb: string) => {
  const plain = verb.replace(/(Many|Raw)$/, '').replace(/^startRedrive$/, 'redrive')
  const capital = plain[0]!.toUpperCase() + plain.slice(1)
  const names = [`get${capital}`, `list${capital}`, `${plain}Message`, plain]
  const operation = contract.find(({ schema }) => names.includes(schema.operationId!))
  if (operation === undefined) throw new Error(`The verb ${verb} has no operation in the contract.`)
  return operation
}

/** The codes that an operation names, beside those that any call may get. */
const codesOf = ({ schema }: (typeof contract)[number]): Code[] =>
  Object.values(schema.response as Record<string, { 'x-codes'?: Code[] }>).flatMap(
    answer => answer['x-codes'] ?? []
  )

/** The methods of a file of the client, in its order. */
function verbsIn(area: Area): Verb[] {
  const file = `src/client/verbs/${area}.ts`
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
  const aliases = new Map<string, string>()
  const verbs = new Map<string, Verb>()
  for (const statement of source.statements) {
    if (ts.isTypeAliasDeclaration(statement)) aliases.set(statement.name.text, statement.type.getText())
    if (!ts.isClassDeclaration(statement)) continue
    for (const member of statement.members) {
      if (!ts.isMethodDeclaration(member) || !ts.isIdentifier(member.name)) continue
      const name = member.name.text
      const known = verbs.get(name)
      // What follows the signatures of an overload is its body.
      if (known !== undefined && member.body !== undefined) continue
      const verb = known ?? { name, help: helpOf(member), signatures: [] }
      verb.signatures.push(signatureOf(member, aliases))
      verbs.set(name, verb)
    }
  }
  return [...verbs.values()]
}

function helpOf(node: ts.Node): string {
  const [comment] = ts.getJSDocCommentsAndTags(node)
  const text = comment !== undefined && ts.getTextOfJSDocComment(comment.comment)
  if (!text) throw new Error(`${(node as ts.MethodDeclaration).name.getText()} has no doc comment.`)
  return text.replace(/\s+/g, ' ')
}

function signatureOf(method: ts.MethodDeclaration, aliases: Map<string, string>): Signature {
  const written = (type: ts.TypeNode) => aliases.get(type.getText()) ?? type.getText()
  return {
    parameters: method.parameters
      .filter(({ name }) => name.getText() !== 'options')
      .map(({ name, type, initializer }) => ({
        name: name.getText(),
        type: written(type!),
        isOptional: initializer !== undefined
      })),
    answer: method.type!.getText().replace(/^Promise<([^]*)>$/, '$1')
  }
}

const shapes = new Map(exported.map(shape => [shape.title!, shape as Bounded]))
const code = (text: unknown) => `\`${text}\``
const linkTo = (name: string) => `[${name}](#${name.toLowerCase()})`
const cell = (text: string) => text.replaceAll('|', '\\|')
const named = (text: string) => text.replace(/\b[A-Z]\w+/g, name => (shapes.has(name) ? linkTo(name) : name))

/** A type of the client in words. */
function typeInWords(type: string): string {
  const text = type
    .replace(/\s+/g, ' ')
    .replace(/^Copy\[\]$/, "PublishAnswer['messages']")
    .replace(/^\((.*)\)\[\]$/, 'list of $1')
    .replace(/^(\w+)\[\]$/, 'list of $1')
    .replace(/^(\w+)\['(\w+)'\]$/, '`$2` of $1')
    .replace(/Omit<(\w+), '(\w+)'>/, '$1 without `$2`')
    .replace(/ & \{ (\w+): \w+ \}$/, ', with `$1`')
    .replace(/^\{ (\w+)\??: [^}]* \}$/, 'an object with `$1`')
    .replaceAll(' | ', ' or ')
    .replace(/^void$/, 'nothing')
  return named(text)
}

/** The table of the verbs of an area. */
function verbTable(area: Area): string[][] {
  const rows = verbsIn(area).map(({ name, help, signatures }) => {
    const calls = signatures.map(({ parameters }) => {
      const names = parameters.map(({ name, isOptional }) => (isOptional ? `${name}?` : name))
      return code(`${name}(${names.join(', ')})`)
    })
    const given = signatures.flatMap(({ parameters }) =>
      parameters
        .filter(({ type }) => type !== 'string')
        .map(({ name, type }) => `${code(name)}: ${typeInWords(type)}`)
    )
    const answers = signatures.map(({ answer }) => typeInWords(answer))
    const refusals = codesOf(operationOf(name)).map(each => `[${each}](errors.md#${each.toLowerCase()})`)
    const lines = (texts: string[]) => [...new Set(texts)].join('<br>') || '–'
    return [lines(calls), help, lines(given), lines(answers), refusals.join(', ') || '–']
  })
  return [['verb', 'what it does', 'takes', 'answers', 'refuses with'], ...rows]
}

/** A schema with its bounds. */
type Bounded = Omit<Shape, 'properties' | 'items' | 'anyOf'> & {
  default?: unknown
  maximum?: number
  minLength?: number
  maxLength?: number
  minItems?: number
  maxItems?: number
  maxProperties?: number
  properties?: Record<string, Bounded>
  items?: Bounded
  anyOf?: Bounded[]
}

const number = (value: number) => value.toLocaleString('en')

function between(min: number | undefined, max: number | undefined, unit: string): string {
  if (min === undefined && max === undefined) return ''
  if (max === undefined) return `, at least ${number(min!)}${unit}`
  return min === undefined ? `, up to ${number(max)}${unit}` : `, ${number(min)} to ${number(max)}${unit}`
}

/** The bounds of a value. The name of a field has its unit. */
function boundsOf(name: string, shape: Bounded): string {
  const { minimum, exclusiveMinimum, maximum, minLength, maxLength, minItems, maxItems } = shape
  const unit = /Seconds$/.test(name) ? ' s' : ''
  if (exclusiveMinimum !== undefined) {
    return `, above ${number(exclusiveMinimum)}, to ${number(maximum!)}${unit}`
  }
  if (minimum !== undefined || maximum !== undefined) return between(minimum, maximum, unit)
  if (maxLength !== undefined) return between(minLength, maxLength, ' characters')
  if (maxItems !== undefined) return between(minItems, maxItems, '')
  return between(undefined, shape.maxProperties, '')
}

const plain: Record<string, string> = { integer: 'whole number', number: 'number', boolean: 'true or false' }

/** So many fields are not listed twice. */
const sharedFieldsMin = 4

/** The shape that has the fields of an object without a name of its own. */
function sameFieldsAs({ properties }: Bounded): string | undefined {
  const names = (fields: object = {}) => Object.keys(fields).sort().join()
  if (properties === undefined || Object.keys(properties).length < sharedFieldsMin) return undefined
  return [...shapes.keys()].find(name => names(shapes.get(name)!.properties) === names(properties))
}

/** The type of a field with its bounds, in words. */
function fieldType(name: string, shape: Bounded): string {
  if (shape.title !== undefined && shapes.has(shape.title)) return linkTo(shape.title)
  const same = sameFieldsAs(shape)
  if (same !== undefined) return `each field of ${linkTo(same)}`
  if (shape.anyOf !== undefined) return shape.anyOf.map(one => fieldType(name, one)).join(' or ')
  if (shape.enum !== undefined) return shape.enum.map(code).join(', ')
  if (shape.const !== undefined) return code(shape.const)
  if (shape.additionalProperties) return `object of strings${boundsOf(name, shape)}`
  if (Array.isArray(shape.type)) return shape.type.join(' or ')
  if (shape.type === undefined) return 'any JSON'
  if (shape.format === 'date-time') return 'time'
  const type =
    shape.type === 'array' ? `list of ${fieldType('', shape.items!)}` : (plain[shape.type] ?? shape.type)
  return `${type}${boundsOf(name, shape)}`
}

/** What holds when a field is left out, which its description says; and the rest of the description. */
function defaultOf(shape: Bounded): { text: string; help: string } {
  const { description = '' } = shape
  if (shape.default !== undefined) return { text: code(shape.default), help: description }
  const [sentence, value] = /\s*\bDefault:? (.+?)\.(?=\s|$)/.exec(description) ?? []
  if (value !== undefined) return { text: value, help: description.replace(sentence!, '').trim() }
  const [, choice] = /(\w+) \(the default\)/.exec(description) ?? []
  return { text: choice === undefined ? '' : code(choice), help: description }
}

/** The fields of a shape, those of objects inside it below them. */
function fieldRows(shape: Bounded, before: string, isRequest: boolean): string[][] {
  const { properties = {}, required = [] } = shape
  return Object.entries(properties).flatMap(([name, field]) => {
    const isOptional = !required.includes(name)
    const { text, help } = defaultOf(field)
    const type = cell(fieldType(name, field))
    const row = isRequest
      ? [code(before + name), type, isOptional ? cell(text) : '**required**', cell(help)]
      : [code(before + name) + (isOptional ? ' (may be missing)' : ''), type, cell(field.description ?? '')]
    const choices = field.anyOf ?? [field]
    return [row, ...choices.flatMap(one => innerRows(one, before + name, isRequest))]
  })
}

function innerRows(shape: Bounded, name: string, isRequest: boolean): string[][] {
  if (shape.title !== undefined && shapes.has(shape.title)) return []
  if (sameFieldsAs(shape) !== undefined) return []
  if (shape.type === 'array') return innerRows(shape.items!, `${name}[]`, isRequest)
  return fieldRows(shape, `${name}.`, isRequest)
}

/** The shapes that calls take, and those inside them. */
function requestNames(): Set<string> {
  const found = new Set<string>()
  const add = (text: string) => {
    for (const [name] of text.matchAll(/\b[A-Z]\w+/g)) {
      const shape = shapes.get(name)
      if (shape === undefined || found.has(name)) continue
      found.add(name)
      for (const [, inner] of JSON.stringify(shape.properties ?? {}).matchAll(/"title":"(\w+)"/g)) add(inner!)
    }
  }
  for (const area of areas) {
    for (const { signatures } of verbsIn(area)) {
      for (const { parameters } of signatures) for (const { type } of parameters) add(type)
    }
  }
  return found
}

/** The shapes that a shape is one of. */
const choicesOf = (name: string, shape: Bounded) =>
  (shape.anyOf ?? []).filter(({ title }) => title !== name && shapes.has(title ?? ''))

/** The fields of a shape that are its own, not those of its choices. */
function ownRows(name: string, isRequest: boolean): string[][] {
  const shape = shapes.get(name)!
  const choices = choicesOf(name, shape)
  return (shape.anyOf ?? [shape])
    .filter(member => !choices.includes(member))
    .flatMap(member => fieldRows(member, '', isRequest))
}

/** The largest shape all of whose fields another shape has too, with the same meaning. */
function baseOf(name: string, rows: string[][], others: string[], isRequest: boolean): string | undefined {
  const lines = new Set(rows.map(row => row.join()))
  const bases = others
    .map(other => ({ other, fields: ownRows(other, isRequest) }))
    .filter(({ other, fields }) => other !== name && fields.length >= sharedFieldsMin)
    .filter(({ fields }) => fields.length < lines.size && fields.every(row => lines.has(row.join())))
  return bases.sort((a, b) => b.fields.length - a.fields.length)[0]?.other
}

/** The fields that all choices have, and a row for each choice with its others. */
function choiceTables(choices: Bounded[], head: string[], isRequest: boolean): string[] {
  const fields = choices.map(choice => fieldRows(choice, '', isRequest))
  const lines = fields.map(rows => rows.map(row => row.join()))
  const isCommon = (row: string[]) => lines.every(some => some.includes(row.join()))
  const rows = choices.map(({ title, description = '' }, i) => {
    const others = fields[i]!.filter(row => !isCommon(row))
    const text = others.map(([name, type, meaning]) => `${name}: ${type}${meaning && `. ${meaning}`}`)
    return [code(title), text.join('<br>'), description]
  })
  const common = fields[0]!.filter(isCommon)
  return [
    ...(common.length > 0 ? [tableText([head, ...common])] : []),
    tableText([['one of', 'its own fields', 'meaning'], ...rows])
  ]
}

/** A heading and a table for each shape that calls take, or that they answer. */
function shapeSections(isRequest: boolean): string {
  const requests = requestNames()
  const head = isRequest ? ['field', 'type', 'default', 'meaning'] : ['field', 'type', 'meaning']
  const shown = [...shapes].filter(
    ([name, shape]) => requests.has(name) === isRequest && shape.enum === undefined
  )
  const names = shown.map(([name]) => name)
  const isChoice = (name: string) => ownRows(name, isRequest).length === 0
  // The shapes of a choice are rows of it.
  const chosen = new Set(
    shown
      .filter(([name]) => isChoice(name))
      .flatMap(([name, shape]) => choicesOf(name, shape).map(({ title }) => title!))
  )
  return shown
    .filter(([name]) => !chosen.has(name))
    .map(([name, shape]) => {
      const rows = ownRows(name, isRequest)
      const base = baseOf(name, rows, names, isRequest)
      const inBase = new Set(base === undefined ? [] : ownRows(base, isRequest).map(row => row.join()))
      const rest = rows.filter(row => !inBase.has(row.join()))
      const choices = choicesOf(name, shape)
      return [
        `### ${name}`,
        ...(shape.description === undefined ? [] : [wrappedProse(shape.description)]),
        ...(base === undefined ? [] : [`It has the fields of ${linkTo(base)}, and these.`]),
        ...(rest.length > 0 ? [tableText([head, ...rest])] : []),
        ...(isChoice(name) ? choiceTables(choices, head, isRequest) : []),
        ...(rest.length > 0 && choices.length > 0
          ? [`Or: ${choices.map(({ title }) => linkTo(title!)).join(', ')}.`]
          : [])
      ].join('\n\n')
    })
    .join('\n\n')
}

const proseColumnsMax = 100

function wrappedProse(text: string): string {
  const lines = ['']
  for (const word of text.split(' ')) {
    const longer = lines.at(-1) === '' ? word : `${lines.at(-1)} ${word}`
    if (longer.length <= proseColumnsMax) lines[lines.length - 1] = longer
    else lines.push(word)
  }
  return lines.join('\n')
}

/** Rows as Markdown. The first one is the head. */
export function tableText([head, ...rows]: string[][]): string {
  return [head!, head!.map(() => '---'), ...rows].map(cells => `| ${cells.join(' | ')} |`).join('\n')
}

/** A declaration of the Python client on one line, without types: `lease(queue, **options)`. */
function pythonVerbs(): Map<string, string> {
  const text = readFileSync('clients/python/src/holdfast/_client.py', 'utf8')
  const found = [...text.matchAll(/^ {4}def ([a-z]\w*)\(\s*self,?\s*([^]*?),?\s*\) -> /gm)]
  return new Map(
    found.map(([, name, parameters]) => {
      const names = parameters!.split(/,\s*(?![^[]*\])/).map(each => each.replace(/:\s*[^=]*?(?=\s*=|$)/, ''))
      const shown = names.filter(each => each !== '' && each !== '*' && !each.startsWith('cancel'))
      return [name!, `${name}(${shown.map(each => each.replace(/\s*=\s*/, '=')).join(', ')})`]
    })
  )
}

/** A declaration of the Go client on one line, without its receiver. */
function goVerbs(): Map<string, string> {
  const text = readFileSync('clients/go/client.go', 'utf8')
  const found = [...text.matchAll(/^func \(c \*Client\) ([A-Z]\w*)\(([^]*?)\) (\([^)]*\)|\S+) \{$/gm)]
  return new Map(
    found.map(([, name, parameters, answer]) => {
      const given = parameters!.replace(/\s+/g, ' ').replace(/,? $/, '').trim()
      return [name!, `${name}(${given.replace('ctx context.Context', 'ctx')}) ${answer}`]
    })
  )
}

/** Every verb in the three languages. Throws where one lacks it, or has one more. */
function languageTable(): string[][] {
  const [python, go] = [pythonVerbs(), goVerbs()]
  python.delete('close')
  const names = areas.flatMap(area =>
    verbsIn(area).flatMap(({ name, signatures }) => (signatures.length > 1 ? [name, `${name}Many`] : [name]))
  )
  const rows = names.map(name => {
    const [snake, pascal] = [
      name.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`),
      name[0]!.toUpperCase() + name.slice(1)
    ]
    const row = [python.get(snake), go.get(pascal)]
    if (row.includes(undefined)) throw new Error(`Python or Go has no verb ${name}.`)
    python.delete(snake)
    go.delete(pascal)
    return [code(name), ...row.map(code)]
  })
  const more = [...python.keys(), ...go.keys()]
  if (more.length > 0) throw new Error(`TypeScript has no verb for ${more}.`)
  return [['TypeScript', 'Python', 'Go'], ...rows]
}

/** The statuses that any call may be refused with, and their codes. */
function anywhereTable(): string[][] {
  const others = new Set(contract.flatMap(codesOf))
  const rows = anywhere.map(status => {
    const codes = Object.entries(problems).filter(
      ([name, problem]) => problem.status === status && !others.has(name as Code)
    )
    return [String(status), codes.map(([each]) => `[${each}](errors.md#${each.toLowerCase()})`).join(', ')]
  })
  return [['status', 'codes'], ...rows]
}

/** The options of an interface in src/client/calls.ts. */
function optionTable(name: string): string[][] {
  const file = 'src/client/calls.ts'
  const source = ts.createSourceFile(file, readFileSync(file, 'utf8'), ts.ScriptTarget.Latest, true)
  const found = source.statements.find(each => ts.isInterfaceDeclaration(each) && each.name.text === name)
  const rows = (found as ts.InterfaceDeclaration).members.map(member => {
    const { text, help } = defaultOf({ description: helpOf(member) } as TSchema as Bounded)
    const { type } = member as ts.PropertySignature
    const written = type!.getText().replace(' | undefined', '')
    const unit = /Seconds$/.test(member.name!.getText()) ? ', s' : ''
    const isOptional = member.questionToken !== undefined
    return [code(member.name!.getText()), written + unit, isOptional ? text : '**required**', help]
  })
  return [['option', 'type', 'default', 'meaning'], ...rows]
}

/** The tables of the page, by their names in its markers. */
export const referenceTables: Record<string, () => string> = {
  ...Object.fromEntries(areas.map(area => [`verbs_${area}`, () => tableText(verbTable(area))])),
  verbs_languages: () => tableText(languageTable()),
  refusals: () => tableText(anywhereTable()),
  client_options: () => tableText(optionTable('ClientOptions')),
  call_options: () => tableText(optionTable('CallOptions')),
  requests: () => shapeSections(true),
  answers: () => shapeSections(false)
}
