/**
 * Statements: SQL with a name and the type of its rows.
 *
 * A connection plans a statement once, perhaps while a table is empty or holds only dead rows. At
 * that moment walking over a whole queue looks as cheap as finding a few of its messages. So each
 * look-up of a message names an id among the ids given, or has a limit (or `offset 0`) of its own.
 * That leaves the planner no other way than the key.
 */

/**
 * A named statement, never assembled from input. Each connection plans it once. `Row` is the type
 * of the rows that it answers.
 */
export interface Statement<Row = Record<string, unknown>> {
  name: string
  /** What `$1`, `$2` … are, in lines for people. test/store/statements.sql shows them too. */
  parameters?: string
  text: string
  /** It works through thousands of rows, which may take seconds. */
  slow?: true
  /** Never set: it carries the type of the rows. */
  row?: Row
}

/** Whatever runs statements: a pool, or one transaction. */
export interface Session {
  /** Refuses with databaseUnavailable, outcomeUnknown or overloaded, as core/ports.ts says. */
  query<Row = Record<string, unknown>>(statement: Statement<Row> | string, values?: unknown[]): Promise<Row[]>
}

/** One transaction, until its commit. */
export interface Transaction extends Session {
  /** Its commit frees all locks before it is on the disk. The answer still waits for the disk. */
  freeLocksEarly(): void
}

/**
 * A template for SQL. It takes away the indentation that all lines share. A fragment of several lines
 * is indented as deep as the line where it is put in. A backslash stands for itself.
 */
export function sql(template: TemplateStringsArray, ...fragments: (string | number)[]): string {
  let text = template.raw[0]!
  fragments.forEach((fragment, index) => {
    const indent = ' '.repeat(indentOf(text.slice(text.lastIndexOf('\n') + 1)))
    text += String(fragment).replaceAll('\n', `\n${indent}`) + template.raw[index + 1]!
  })
  const lines = text.split('\n').filter(line => line.trim() !== '')
  const shared = Math.min(...lines.map(indentOf))
  return lines.map(line => line.slice(shared).trimEnd()).join('\n')
}

const indentOf = (line: string) => line.length - line.trimStart().length
