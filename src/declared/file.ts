/** Reads a file of queues. What is wrong in it is refused with its line and column. */
import type { ErrorObject } from 'ajv'
import {
  isAlias,
  isMap,
  isNode,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
  type Document,
  type Node,
  type Pair,
  type ScalarTag
} from 'yaml'
import { QueueError } from '../core/errors.ts'
import { faultOf } from '../fronts/rest/faults.ts'
import { validator } from '../fronts/rest/validation.ts'
import { DeclaredFile, type Declared, type Fields } from './shape.ts'

/** Something in the file cannot be used. Nothing has been done. */
export class FileFault extends Error {}

/** Looks up an environment variable. */
export type Variables = (name: string) => string | undefined

/** A file that fits the shape, and where each of its parts stands. */
export interface DeclaredText {
  declared: Declared
  /** Refuses what stands at a path. Throws FileFault. */
  refuse(path: string[], sentence: string): never
}

const validate = validator<Declared>(DeclaredFile)

/**
 * Reads the text of a file: YAML, or JSON, which is YAML too. Throws FileFault where it cannot be read,
 * or does not fit the shape.
 */
export function readDeclared(name: string, text: string, variables: Variables): DeclaredText {
  const lines = new LineCounter()
  const refuseAt = (offset: number, sentence: string): never => {
    const { line, col } = lines.linePos(offset)
    throw new FileFault(`${name}:${line}:${col}: ${sentence}`)
  }
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    customTags: tags => [...tags, environmentTag(variables)]
  })
  const [error] = [...document.errors, ...document.warnings]
  if (error !== undefined) return refuseAt(error.pos[0], `${sentenceOf(error)}.`)
  checkAliases(document, refuseAt)
  const refuse = (path: string[], sentence: string) => refuseAt(offsetOf(document, path), sentence)
  const declared: unknown = document.toJS()
  fillEmptyEntries(declared)
  checkValues(declared, [], refuse)
  try {
    return { declared: validate(declared), refuse }
  } catch (thrown) {
    const { path, sentence } = firstFault((thrown as { validation: ErrorObject[] }).validation)
    return refuse(path, sentence)
  }
}

/** Turns a refusal of the core, which points into a body, into one that points into the file. */
export function refuseAsFile<T>(file: DeclaredText, path: string[], check: () => T): T {
  try {
    return check()
  } catch (error) {
    if (!(error instanceof QueueError)) throw error
    const [fault] = error.faults
    const place = [...path, ...segmentsOf(fault?.pointer ?? '')]
    const isPointed = error.code === 'invalidRequest'
    return file.refuse(place, isPointed ? `${place.join('.')} ${fault!.message}.` : error.message)
  }
}

/** `!env NAME` stands for the text of an environment variable, so that a secret need not be in the file. */
const environmentTag = (variables: Variables): ScalarTag => ({
  tag: '!env',
  resolve(name, onError) {
    const value = variables(name)
    if (value === undefined) {
      onError(`There is no environment variable ${name}. Set it, or write the text here`)
    }
    return value ?? ''
  }
})

function sentenceOf({ code, message }: { code: string; message: string }): string {
  if (code === 'MULTIPLE_DOCS') return 'A second document begins here. Write all in one, without ---'
  if (code === 'DUPLICATE_KEY') return 'This name stands there twice. Write each name once'
  return message.replace(/\.$/, '')
}

/** Refuses an alias of nothing. Each look-up by the library would go over the whole file. */
function checkAliases(document: Document, refuseAt: (offset: number, sentence: string) => never): void {
  const marks = new Set<string>()
  visit(document, {
    Value(_, { anchor }) {
      if (anchor !== undefined) marks.add(anchor)
    },
    Alias(_, alias) {
      if (!marks.has(alias.source)) refuseAt(alias.range![0], `Nothing above is marked &${alias.source}.`)
    }
  })
}

const isRecord = (value: unknown): value is Fields => typeof value === 'object' && value !== null

/** A queue or a subscription with nothing behind its name has no fields. */
function fillEmptyEntries(declared: unknown): void {
  if (!isRecord(declared)) return
  fillEmpty(declared.queues)
  for (const topic of isRecord(declared.topics) ? Object.values(declared.topics) : []) {
    if (isRecord(topic)) fillEmpty(topic.subscriptions)
  }
}

function fillEmpty(entries: unknown): void {
  if (!isRecord(entries)) return
  for (const [name, entry] of Object.entries(entries)) {
    if (entry === null) entries[name] = {}
  }
}

/** JSON has no other values. A whole number beyond these would lose digits. */
function checkValues(value: unknown, path: string[], refuse: DeclaredText['refuse']): void {
  if (isInexact(value)) {
    refuse(path, `${path.join('.')} is a number that cannot be kept exactly. Write it as text, in quotes.`)
  }
  if (!isRecord(value)) return
  if (ArrayBuffer.isView(value)) refuse(path, `${path.join('.')} is no value of JSON. Write it as text.`)
  for (const [name, member] of Object.entries(value)) checkValues(member, [...path, name], refuse)
}

/** Whether a value is a number whose digits may have been lost when it was read. */
export const isInexact = (value: unknown): boolean =>
  typeof value === 'bigint' || (typeof value === 'number' && !(Math.abs(value) <= Number.MAX_SAFE_INTEGER))

function firstFault(faults: ErrorObject[]): { path: string[]; sentence: string } {
  const [first] = faults
  const { pointer, message } = faultOf(first!, 'body')
  const path = segmentsOf(pointer)
  const place = path.length === 0 ? 'The file' : path.join('.')
  const badName = faults.find(({ keyword }) => keyword === 'propertyNames')?.params.propertyName
  if (badName !== undefined) {
    return { path: [...path, badName], sentence: `A name in ${place} ${message}.` }
  }
  if (path.length === 1 && first!.data === null) {
    return { path, sentence: `${place} has nothing below it. Leave it out, or write {} for none of them.` }
  }
  return { path, sentence: `${place} ${message}.` }
}

const segmentsOf = (pointer: string): string[] =>
  pointer
    .split('/')
    .slice(1)
    .map(segment => segment.replaceAll('~1', '/').replaceAll('~0', '~'))

/** Where a path begins in the text. Where it is missing, the nearest part that is there. */
function offsetOf(document: Document, path: string[]): number {
  let node: unknown = document.contents
  let offset = startOf(node) ?? 0
  for (const segment of path) {
    if (isAlias(node)) node = node.resolve(document)
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => String((key as Node).toJSON()) === segment)
      if (pair === undefined) break
      offset = startOf((pair as Pair<Node>).key) ?? offset
      node = pair.value
    } else if (isSeq(node)) {
      node = node.items[Number(segment)]
      offset = startOf(node) ?? offset
    } else break
  }
  return offset
}

const startOf = (node: unknown): number | undefined => (isNode(node) ? node.range?.[0] : undefined)
