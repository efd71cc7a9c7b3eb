/**
 * The tables of the documents that repeat facts of the source, or figures of the benchmarks.
 * `npm run generate` writes them anew.
 * In a document such a table stands between `<!-- table: NAME -->` and `<!-- end of table -->`.
 */
import { glob, readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { defaultAsText, environment } from '../src/config.ts'
import { labelledTotals, movedHelp, totals, type Total } from '../src/core/counters.ts'
import { options, uniqueMembers } from '../src/core/options.ts'
import { defaultText, settingPaths } from '../src/core/settings.ts'
import { boundsOf, type Row } from '../src/core/table.ts'
import { headersHelp } from '../src/fronts/rest/contract/enqueue.ts'
import { figureRows } from './figures.ts'
import { referenceTables, tableText } from './reference.ts'

const rows: Record<string, () => string[][]> = {
  environment: () => [
    ['name', 'default', 'values', 'meaning'],
    ...Object.values(environment).map(setting => {
      const shown = defaultAsText(setting)
      const { name, help, read } = setting
      return [`\`${name}\``, shown === '' ? '(not set)' : `\`${shown}\``, read.values, help]
    })
  ],
  settings: () => [
    ['setting', 'default', 'values', 'meaning'],
    ...settingPaths.map(row => [`\`${row.path.join('.')}\``, defaultText(row), valuesOf(row), row.help])
  ],
  options: () => [
    ['option', 'values', 'meaning'],
    ['`headers`', 'an object of strings', headersHelp],
    ...Object.entries(options).map(([name, row]) => [`\`${name}\``, valuesOf(row), row.help]),
    ...Object.entries(uniqueMembers).map(([name, row]) => [`\`unique.${name}\``, valuesOf(row), row.help])
  ],
  totals: () => [['name', 'type', 'labels', 'meaning'], ...totalRows()],
  ...figureRows
}

const tables: Record<string, () => string> = {
  ...Object.fromEntries(Object.entries(rows).map(([name, make]) => [name, () => tableText(make())])),
  ...referenceTables
}

/** Each of them stands in one document. */
export const tableNames = Object.keys(tables)

/** A row for each metric, which says what its labels tell apart. */
function totalRows(): string[][] {
  const labelled = Object.entries(labelledTotals).map(([total, { name, by }]) => ({
    name,
    text: `With \`by="${by}"\`: ${totals[total as Total]}`
  }))
  const plain = Object.entries<string>(totals).filter(([total]) => !(total in labelledTotals))
  return [...plain, ['moved', movedHelp] as const].map(([name, help]) => {
    const more = labelled.filter(row => row.name === name).map(({ text }) => text)
    const labels = more.length > 0 ? 'queue, by' : 'queue'
    return [`\`holdfast_${name}_total\``, 'counter', labels, [help, ...more].join(' ')]
  })
}

function valuesOf(row: Row): string {
  switch (row.type) {
    case 'number':
    case 'integer':
      return `${boundsOf(row)}${row.unit === undefined ? '' : ` ${row.unit}`}`
    case 'choice':
      return row.choices.map(choice => `\`${choice}\``).join(', ')
    case 'flag':
      return '`true`, `false`'
    case 'queue':
      return 'the name of a queue'
    case 'time':
      return 'a time, RFC 3339'
    case 'text':
      return 'text'
    case 'record':
      return Object.entries(row.fields)
        .map(([name, field]) => {
          const optional = field.optional ? 'optional ' : ''
          return `${optional}\`${name}\` ${boundsOf(field)}`
        })
        .join(', ')
    case 'texts':
      return (
        `an object of up to ${row.entriesMax} texts: names of up to ${row.nameCharsMax} characters, ` +
        `values of up to ${row.valueCharsMax}`
      )
  }
}

/** The text of a document with its tables as the source makes them. */
export function withTables(text: string): string {
  return text.replace(
    /(<!-- table: (\w+) -->\n)[^]*?(\n<!-- end of table -->)/g,
    (_, begin: string, name: string, end: string) => {
      const table = tables[name]
      if (table === undefined) throw new Error(`There is no table ${name} in docs/tables.ts.`)
      return `${begin}\n${table()}\n${end}`
    }
  )
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for await (const name of glob(['*.md', 'docs/**/*.md'])) {
    const text = await readFile(name, 'utf8')
    const rendered = withTables(text)
    if (rendered !== text) await writeFile(name, rendered)
  }
}
