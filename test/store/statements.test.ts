/**
 * The statements as PostgreSQL gets them. Those that are composed of fragments stand whole in
 * statements.sql, so that a change of one shows in the diff.
 */
import { glob, readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { sql, type Statement } from '../../src/store/statement.ts'

const file = new URL('statements.sql', import.meta.url)
const columnsMax = 110
const command = 'HOLDFAST_TEST_WRITE=1 npm test -- test/store/statements.test.ts'
const head = `\
-- Every statement of src/store that is composed of fragments, whole as PostgreSQL gets it.
-- Generated; test/store/statements.test.ts compares it with the source. To write it anew:
--   ${command}
`

const sources = new Map<string, string>()
for await (const name of glob('src/store/{verbs,upkeep}/*.ts')) {
  sources.set(name, await readFile(name, 'utf8'))
}
const statements = new Map<string, Statement>()
for (const name of sources.keys()) collect(await import(`../../${name}`))

/** Statements among the exports of a module, also in lists and in tables. */
function collect(value: unknown): void {
  if (typeof value !== 'object' || value === null) return
  if ('name' in value && 'text' in value) statements.set(String(value.name), value as Statement)
  else Object.values(value).forEach(collect)
}

const flat = (text: string) =>
  text
    .split('\n')
    .map(line => line.trim())
    .filter(line => line !== '')
    .join('\n')

/** A statement is plain when its whole text stands in the source. */
const isPlain = ({ text }: Statement) => sources.values().some(source => flat(source).includes(flat(text)))

t.test('statements that are composed of fragments are what statements.sql shows', async t => {
  const composed = [...statements.values()]
    .filter(statement => !isPlain(statement))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
    .map(({ name, parameters, text }) => {
      const comments = [name, ...(parameters?.split('\n') ?? [])].map(line => `-- ${line}\n`)
      return `\n${comments.join('')}${text};\n`
    })
  const all = head + composed.join('')
  if (process.env.HOLDFAST_TEST_WRITE) await writeFile(file, all)
  t.equal(await readFile(file, 'utf8').catch(() => ''), all, `if the change is meant: ${command}`)
  t.strictSame(
    all.split('\n').filter(line => line.length > columnsMax),
    [],
    'fits the page'
  )
})

t.test('every statement says what its parameters are, and is exported', t => {
  for (const { name, parameters = '', text } of statements.values()) {
    const numbers = (from: string) => [...new Set(from.match(/\$\d+/g))].sort()
    t.strictSame(numbers(parameters), numbers(text), name)
  }
  for (const [name, source] of sources) t.notMatch(source, /^const \w+: Statement/m, name)
  t.ok(statements.size > 80)
  t.end()
})

t.test('the template takes away shared indentation, and indents fragments as the line they stand in', t => {
  const fragment = sql`
    a = 1
    and b ~ '\d'
  `
  t.equal(
    sql`
      select
      from x
      where (
        ${fragment}
      ) or ${'true'}`,
    ['select', 'from x', 'where (', '  a = 1', "  and b ~ '\\d'", ') or true'].join('\n')
  )
  t.end()
})
