/**
 * What a machine can see of the house: who imports whom, where SQL and the environment are read,
 * what is documented, what is stale.
 */
import { glob, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import t from 'tap'
import typescript from 'typescript'
import { startArguments } from '../bench/startCommand.ts'
import { tableNames, withTables } from '../docs/tables.ts'
import { describeApi } from '../src/fronts/rest/docs.ts'
import { problems } from '../src/fronts/rest/problems.ts'
import { clientLimits, clientTypes, pythonLimits } from '../src/fronts/rest/clientTypes.ts'
import { goTypes } from '../src/fronts/rest/goTypes.ts'

async function files(pattern: string | string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const name of glob(pattern)) found.set(name, await readFile(name, 'utf8'))
  return found
}

/** What each room may import besides Node, packages and itself. */
const allowed: Record<string, string[]> = {
  core: [],
  store: ['core'],
  jobs: ['core', 'store'],
  'fronts/shared': ['core'],
  'fronts/rest': ['core', 'fronts/shared'],
  'fronts/console': ['core', 'fronts/shared'],
  'fronts/push': ['core', 'fronts/shared'],
  'fronts/sqs': ['core', 'fronts/shared'],
  client: [],
  tracing: ['core'],
  cells: ['core', 'fronts/shared', 'fronts/rest', 'fronts/console'],
  declared: ['core', 'client', 'jobs', 'fronts/rest'],
  processes: ['core', 'service.ts', 'config.ts'],
  cli: ['core', 'cells', 'declared', 'processes', 'databaseTasks.ts', 'service.ts', 'config.ts', 'secrets.ts']
}

/** The room a source file stands in: its folder under src, or under src/fronts. */
function roomOf(path: string): string {
  const [, first, second] = path.split('/')
  return first === 'fronts' ? `${first}/${second}` : first!
}

t.test('imports point inward, those of types too', async t => {
  for (const [name, text] of await files('src/*/**/*.ts')) {
    const room = roomOf(name)
    for (const [, target] of text.matchAll(/^(?:import|export) [^'"`;]*? from '([^']+)'$/gm)) {
      if (target!.startsWith('node:')) continue
      if (!target!.startsWith('.')) {
        t.notMatch(room, /^(core|client)$/, `${name} imports ${target}`)
        continue
      }
      const other = roomOf(join(dirname(name), target!))
      if (other !== room) {
        t.ok(allowed[room]!.includes(other), `${name} imports ${target}`)
      }
    }
  }
  for (const [name, text] of await files('src/**/*.ts')) {
    if (/^src\/(cli|processes)\//.test(name)) continue
    t.notMatch(text, /from '(\.+\/)+(main|service)\.ts'/, name)
    if (/^src\/(service|databaseTasks|main|secrets)\.ts$/.test(name)) continue
    t.notMatch(text, /from '(\.+\/)+config\.ts'/, name)
  }
})

t.test('no circle of imports, of types either', async t => {
  const imports = new Map<string, string[]>()
  for (const [name, text] of await files('src/**/*.ts')) {
    const targets = [...text.matchAll(/^(?:import|export) [^'"()=]*? from '(\.[^']+)'$/gm)]
    imports.set(
      name,
      targets.map(([, target]) => join(dirname(name), target!))
    )
  }
  const circles: string[] = []
  const visited = new Set<string>()
  function visit(name: string, path: string[]): void {
    if (path.includes(name)) circles.push([...path.slice(path.indexOf(name)), name].join(' → '))
    if (visited.has(name)) return
    visited.add(name)
    for (const target of imports.get(name) ?? []) visit(target, [...path, name])
  }
  for (const name of imports.keys()) visit(name, [])
  t.strictSame(circles, [])
})

t.test('SQL stands under src/store, and the environment is read in one place', async t => {
  for (const [name, text] of await files('src/**/*.ts')) {
    if (!name.startsWith('src/store/')) {
      t.notMatch(text, /\b(from|join|into|update)\s+holdfast\.\w/i, name)
    }
    if (name !== 'src/config.ts' && name !== 'src/main.ts') t.notMatch(text, /process\.env/, name)
  }
})

t.test('the ledger has one writer', async t => {
  const writers = [...(await files('src/**/*.ts'))]
    .filter(([, text]) => /insert\s+into\s+holdfast\.ledger/i.test(text))
    .map(([name]) => name)
  t.strictSame(writers, ['src/store/ledger.ts'])
})

t.test('every error code is documented, with its status and its title', async t => {
  const errors = await readFile('docs/errors.md', 'utf8')
  const documented = [...errors.matchAll(/^## (\w+)\n\n\*\*(\d+)\*\* · ([^]*?)\.\n\n/gm)]
  t.strictSame(
    Object.fromEntries(
      documented.map(([, code, status, title]) => [
        code,
        { status: Number(status), title: title!.replaceAll('\n', ' ') }
      ])
    ),
    problems
  )
})

t.test('openapi/openapi.json and the types of clients are what the routes and schemas make', async t => {
  t.equal(await readFile('openapi/openapi.json', 'utf8'), await describeApi(), 'else: npm run generate')
  t.equal(await readFile('src/client/types.ts', 'utf8'), clientTypes(), 'else: npm run generate')
  t.equal(await readFile('src/client/limits.ts', 'utf8'), clientLimits(), 'else: npm run generate')
  t.equal(
    await readFile('clients/python/src/holdfast/_limits.py', 'utf8'),
    pythonLimits(),
    'else: npm run generate'
  )
  t.equal(await readFile('clients/go/types.go', 'utf8'), goTypes(), 'else: npm run generate')
})

t.test('the tables of the documents are what the source makes', async t => {
  const documents = await files(['*.md', 'docs/**/*.md'])
  for (const [name, text] of documents) t.equal(text, withTables(text), `${name}; else: npm run generate`)
  const names = [...documents.values()].flatMap(text => [...text.matchAll(/<!-- table: (\w+) -->/g)])
  t.strictSame(names.map(([, name]) => name).sort(), tableNames.toSorted())
})

const bareBound = /\b(maximum|exclusiveMaximum|maxLength|maxItems|maxProperties): [\d_]*\d/

t.test('no bound stands in a route, a schema or a page by its number', async t => {
  for (const [name, text] of await files('src/fronts/rest/{contract,routes}/*.ts')) {
    t.notMatch(text, bareBound, name)
  }
  for (const [name, text] of await files('src/fronts/console/{routes,streams}.ts')) {
    t.notMatch(text, bareBound, name)
    t.notMatch(text, /const \w+(Max|Default) = \d/, name)
  }
  for (const [name, text] of await files('src/fronts/console/pages/*.js')) {
    t.notMatch(text, /\b(limit|maxlength) ?= ?"?\d|\blimit(=|: )\d/, name)
  }
})

t.test('links between documents lead somewhere', async t => {
  for (const [name, text] of new Map([...(await files('*.md')), ...(await files('docs/**/*.md'))])) {
    for (const [, target] of text.matchAll(/\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)/g)) {
      t.ok(await stat(join(dirname(name), target!)).catch(() => false), `${name} → ${target}`)
    }
  }
})

t.test('the architecture names every file of the core, the store and what fronts share', async t => {
  const architecture = await readFile('docs/architecture.md', 'utf8')
  for (const name of (await files('src/{core,store,fronts/shared}/**/*.ts')).keys()) {
    if (/\/embedded\//.test(name)) continue
    t.match(architecture, new RegExp(`\\b${basename(name, '.ts')}\\b`), name)
  }
})

t.test('the container starts as npm start does', async t => {
  const command = ['node', ...(await startArguments('.'))]
  const dockerfile = (await readFile('Dockerfile', 'utf8')).replaceAll('\\\n', '')
  t.strictSame(JSON.parse(/^CMD (.*)$/m.exec(dockerfile)![1]!), command)
})

t.test('the lockfile holds no addresses', async t => {
  t.notMatch(await readFile('package-lock.json', 'utf8'), /"resolved":\s"http/)
})

t.test('no line of a document passes its limit', async t => {
  const documents = [...(await files('*.md')), ...(await files('docs/**/*.md'))]
  const long: string[] = []
  for (const [name, text] of documents) {
    let fenced = false
    for (const [index, line] of text.split('\n').entries()) {
      if (/^\s*```/.test(line)) fenced = !fenced
      // A row of a table cannot be broken, nor can a link.
      const exempt = !fenced && /^\s*(\||([-*] )?!?\[[^\]]*\](\([^)]*\)[.,;]?|: \S+)$)/.test(line)
      if (!exempt && line.length > (fenced ? 110 : 100)) long.push(`${name}:${index + 1}`)
    }
  }
  t.strictSame(long, [], 'prose has at most 100 columns, a code block 110')
})

const columnsMax = 110
/** A tab takes eight columns, as in a terminal. */
const columnsOf = (line: string) => line.replaceAll('\t', ' '.repeat(8)).length
const functionLinesMax = 60
const fileLinesMax = 400

/** Must not change by a byte, because databases hold their hashes. */
const released = /^migrations\/000[1-6]_/
/** What a program writes may be as long as it needs. */
const generated = 'src/client/types.ts'

t.test('no line of code passes its limit, and no room is crowded', async t => {
  const folders = '{src,clients,test,bench,deploy,docs,migrations,bin,.ci}/**'
  const types = '{ts,js,mjs,json,css,html,njk,sql,sh,py,go,php,pl,rb,yaml,service,patch}'
  const code = await files(`{*.js,package.json,compose.yaml,${folders}/*.${types}}`)
  for (const [name, text] of code) {
    if (released.test(name)) continue
    const lines = text.split('\n')
    for (const [index, line] of lines.entries()) {
      // JSON cannot break a string, nor PromQL a query.
      const isQuery = name.endsWith('.json') && line.trimStart().startsWith('"expr": ')
      const columns = columnsOf(line)
      if (columns > columnsMax && !isQuery) t.fail(`${name}:${index + 1} has ${columns} columns`)
    }
    if (!name.startsWith('src/') || name === generated) continue
    if (lines.length - 1 > fileLinesMax) t.fail(`${name} has ${lines.length - 1} lines`)
    for (const { at, length } of functionsOf(name, text)) {
      if (length > functionLinesMax) t.fail(`${name}:${at} is a function of ${length} lines`)
    }
  }
  t.ok(code.size > 200)
})

/** Every function of a file: where it begins, and how many lines it has. */
function functionsOf(name: string, text: string): { at: number; length: number }[] {
  if (!/\.(ts|js)$/.test(name)) return []
  const source = typescript.createSourceFile(name, text, typescript.ScriptTarget.Latest)
  const lineOf = (position: number) => source.getLineAndCharacterOfPosition(position).line
  const found: { at: number; length: number }[] = []
  const visit = (node: typescript.Node) => {
    if (typescript.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const first = lineOf(node.getStart(source))
      found.push({ at: first + 1, length: lineOf(node.end) - first + 1 })
    }
    typescript.forEachChild(node, visit)
  }
  visit(source)
  return found
}
