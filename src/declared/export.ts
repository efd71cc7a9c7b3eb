/** Writes what a service has as a file that `readDeclared` reads. */
import { Document, visit, type ScalarTag } from 'yaml'
import { changesOf, fieldsOf } from './changes.ts'
import { isInexact } from './file.ts'
import { kinds } from './kinds/index.ts'
import type { Found, Kind } from './kinds/kind.ts'
import { codeOf, type Service } from './restService.ts'
import type { Declared, Fields } from './shape.ts'

const comment = ` Written by holdfast export. Settings that have their defaults are left out.
 No secret is in here: !env NAME stands for an environment variable.`

/** Throws HoldfastError where the service refuses, and an Error for what no file can say. */
export async function exportText(service: Service): Promise<string> {
  const declared: Declared = {}
  for (const kind of kinds) {
    const found = await kind.readAll(service).catch(error => {
      if (codeOf(error) !== 'forbidden') throw error
      service.hidden.add(`${kind.section}, which this key may not see`)
      return null
    })
    if (found !== null) Object.assign(declared, { [kind.section]: sectionOf(kind, found) })
  }
  const document = new Document(declared, {
    compat: 'yaml-1.1',
    customTags: tags => [...tags, variableTag]
  })
  document.commentBefore = comment
  visit(document, {
    Scalar(_, node) {
      if (typeof node.value === 'string' && node.value.search(hidden) >= 0) node.type = 'QUOTE_DOUBLE'
    }
  })
  return document.toString({ lineWidth: 100 }).replaceAll(hidden, escaped)
}

/** What acts on a terminal, turns text around or cannot be seen. Some readers of YAML end lines there. */
const hidden = /(?![\n\t])[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu

/** The character in a text with double quotes. */
function escaped(character: string): string {
  const digits = character.codePointAt(0)!.toString(16)
  return digits.length <= 4 ? `\\u${digits.padStart(4, '0')}` : `\\U${digits.padStart(8, '0')}`
}

function sectionOf(kind: Kind, found: Found[]): Fields {
  const section = fieldsByName()
  for (const one of found) {
    refuseInexact(kind, one)
    const fields = changedFields(kind, one)
    const [first, second] = one.id
    if (second === undefined) {
      section[first] = kind.section === 'push' ? withoutSecrets(first, fields) : fields
    } else {
      const topic = (section[first] ??= { subscriptions: fieldsByName() }) as { subscriptions: Fields }
      topic.subscriptions[second] = fields
    }
  }
  return section
}

/** Without a prototype, because a topic may be named `constructor`, and a key `__proto__`. */
const fieldsByName = (): Fields => Object.create(null)

/** The fields that do not have their defaults. */
function changedFields(kind: Kind, { id, fields }: Found): Fields {
  for (const [name, value] of Object.entries(fields)) {
    if (value !== undefined) continue
    throw new Error(
      `Several keys are named ${id[0]}, and they differ in ${name}. A file says one thing of a name. ` +
        'Revoke one, or change one with PUT /keys/{id}.'
    )
  }
  return fieldsOf(changesOf(fields, kind.defaults, kind.defaults))
}

/** A field of a request may be a secret of the endpoint, so its text is to come from a variable. */
function withoutSecrets(queue: string, { headers = {}, ...fields }: Fields): Fields {
  const names = Object.keys(headers as object)
  if (names.length === 0) return fields
  const variables = names.map(name => [
    name,
    new Variable(`${queue}_${name}`.toUpperCase().replace(/\W/g, '_'))
  ])
  return { ...fields, headers: Object.fromEntries(variables) }
}

/** Stands for an environment variable. */
class Variable {
  readonly name: string

  constructor(name: string) {
    this.name = name
  }
}

const variableTag: ScalarTag = {
  tag: '!env',
  identify: value => value instanceof Variable,
  resolve: name => new Variable(name),
  stringify: ({ value }) => (value as Variable).name
}

function refuseInexact({ labelOf }: Kind, { id, fields }: Found): void {
  const visit = (value: unknown): void => {
    if (isInexact(value)) {
      throw new Error(
        `The ${labelOf(id)} holds a number that cannot be written exactly. Give it as text, and export again.`
      )
    }
    if (typeof value === 'object' && value !== null) Object.values(value).forEach(visit)
  }
  visit(fields)
}
