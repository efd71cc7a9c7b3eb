/**
 * Every block of the documents that can be run is run, in order, against a service for each page.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, glob, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import pg from 'pg'
import t, { type Test } from 'tap'
import { goEnv } from '../clients/setup.ts'
import { noGo } from '../support/debian.ts'
import { connect, freshDatabase } from '../support/postgres.ts'
import { service, type Client } from '../support/service.ts'

interface Block {
  page: string
  line: number
  language: string
  text: string
}

// Any other language is refused, so that each block says whether it can be run. `console` is only
// shown, because it installs, serves or deploys, or prints figures of one machine. `json` after a
// `bash` has the shape of what it prints, and `text` is it to the letter.
const run = ['bash', 'sql', 'python', 'typescript', 'go']
const shown = ['text', 'console', 'mermaid', 'json', 'yaml']

const pages = new Map<string, Block[]>()
for (const pattern of ['*.md', 'docs/**/*.md']) {
  for await (const page of glob(pattern)) pages.set(page, blocksOf(page, await readFile(page, 'utf8')))
}

function blocksOf(page: string, text: string): Block[] {
  return [...text.matchAll(/^```(.*)\n([^]*?)^```$/gm)].map(match => ({
    page,
    line: text.slice(0, match.index).split('\n').length,
    language: match[1]!,
    text: match[2]!
  }))
}

const placeOf = ({ page, line }: Block) => `${page}:${line}`

t.test('every block names its language', async t => {
  for (const block of [...pages.values()].flat()) {
    t.ok(
      [...run, ...shown].includes(block.language),
      `${placeOf(block)} is ${block.language || 'of no language'}`
    )
  }
})

for (const [page, blocks] of pages) {
  const count = blocks.filter(({ language }) => run.includes(language)).length
  if (count > 0) t.test(`${page}: ${count} blocks run as they stand`, t => runPage(t, blocks))
}

/** How a program of a document is run. */
const programs: Record<string, { file: string; command: string[] }> = {
  python: { file: 'example.py', command: ['python3', 'example.py'] },
  typescript: {
    file: 'example.ts',
    command: [process.execPath, '--conditions=holdfast-source', 'example.ts']
  },
  go: { file: 'example.go', command: ['go', 'run', 'example.go'] }
}

/** The module of a reader who has a clone beside it. */
const goModule = `module example

go 1.19

require holdfast v0.0.0

replace holdfast => ${resolve('clients/go')}
`

/** In this time a worker of a document has done its work. */
const workMsMax = 60_000

/** The queues of the workers in a program that go on until SIGTERM. */
function queuesOfWorkers({ language, text }: Block): string[] {
  const given = language === 'python' ? /\bWorker\(url, "(\w+)",.*signals=False/g : /^ {2}queue: '(\w+)',$/gm
  return /\bWorker\b/.test(text) ? [...text.matchAll(given)].map(([, queue]) => queue!) : []
}

/** Waits until each queue is there and holds no work, or the program has ended. */
async function emptied(holdfast: Client, queues: string[], hasEnded: () => boolean): Promise<void> {
  const endMs = performance.now() + workMsMax
  for (const queue of queues) {
    for (let left = 1; left > 0 && !hasEnded();) {
      const { status, body, text } = await holdfast.get(`/queues/${queue}`)
      if (status === 200) left = body.counts.ready + body.counts.leased
      if (performance.now() > endMs) throw new Error(`The queue ${queue} never runs empty: ${text}`)
    }
  }
}

async function runPage(t: Test, blocks: Block[]): Promise<void> {
  const holdfast = await service(t, { env: { HOLDFAST_PUSH_PRIVATE: 'on' } })
  const folder = t.testdir({ bin: {}, 'go.mod': goModule })
  // The folder of a reader: a clone, with its `holdfast` on the path.
  for (const name of ['docs', 'openapi']) await symlink(resolve(name), join(folder, name))
  await writeFile(
    join(folder, 'bin/holdfast'),
    `#!/bin/sh\nexec '${process.execPath}' '${resolve('bin/holdfast.mjs')}' "$@"\n`
  )
  await chmod(join(folder, 'bin/holdfast'), 0o755)
  const env = {
    PATH: `${join(folder, 'bin')}:${process.env.PATH}`,
    HOME: folder,
    HOLDFAST_DATABASE_URL: holdfast.databaseUrl,
    PYTHONDONTWRITEBYTECODE: '1',
    PYTHONPATH: resolve('clients/python/src'),
    PGDATABASE: holdfast.databaseUrl
  }
  const withUrl = (text: string) => text.replaceAll('http://127.0.0.1:8080', holdfast.url)
  const shell = startShell(t, folder, env)
  let sql: pg.Client | undefined

  for (const [i, block] of blocks.entries()) {
    const place = placeOf(block)
    if (block.language === 'bash') {
      const output = await shell(withUrl(block.text))
      if (output === null) throw new Error(`${place} failed`)
      const answer = blocks[i + 1]
      if (answer?.language === 'json') fits(t, output, answer)
      else if (answer?.language === 'text') t.equal(output, answer.text, placeOf(answer))
      else t.notMatch(output, /"status":\s*[45]\d\d/, place)
    } else if (block.language === 'sql') {
      sql ??= await connect(t, holdfast.databaseUrl)
      await t.resolves(sql.query(await withReceipt(block.text, holdfast)), place)
    } else if (block.language === 'go' && noGo !== false) {
      t.comment(`${place} is skipped: ${noGo}`)
    } else if (block.language in programs) {
      const { file, command } = programs[block.language]!
      await writeFile(join(folder, file), withUrl(block.text))
      const child = spawn(command[0]!, command.slice(1), {
        cwd: folder,
        env: { ...goEnv, ...env },
        stdio: ['ignore', 'inherit', 'inherit']
      })
      t.teardown(() => child.kill('SIGKILL'))
      const ended = once(child, 'exit')
      const endless = queuesOfWorkers(block)
      if (endless.length > 0) {
        await emptied(holdfast, endless, () => child.exitCode !== null)
        child.kill('SIGTERM')
      }
      const [code, signal] = await ended
      // The client of TypeScript raises the signal again when its workers have stopped.
      const isStopped = block.language === 'typescript' && endless.length > 0 && signal === 'SIGTERM'
      t.ok(code === 0 || isStopped, `${place} ended with ${code ?? signal}`)
    }
  }
}

/** A receipt in SQL comes from a lease over HTTP, so a written one is replaced by a good one. */
async function withReceipt(text: string, holdfast: Awaited<ReturnType<typeof service>>): Promise<string> {
  const written = /'\d+\.\d+\.\d+\.[0-9a-f]{8}'/
  if (!written.test(text)) return text
  await holdfast.post('/queues/leased/messages', { body: 1 })
  const { messages } = (await holdfast.post('/queues/leased/lease')).body
  return text.replace(written, `'${messages[0].receipt}'`)
}

/**
 * One shell for a whole page, so that a later block knows the variables of an earlier one. Returns
 * what a block printed, or null when it failed.
 */
function startShell(
  t: Test,
  cwd: string,
  env: Record<string, string>
): (block: string) => Promise<string | null> {
  const child = spawn('bash', ['-euo', 'pipefail'], { cwd, env, stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => {
    child.kill('SIGKILL')
  })
  let output = ''
  let wake = () => {}
  const closed = once(child, 'exit').then(() => null)
  child.stdin.on('error', () => {})
  child.stdout.setEncoding('utf8').on('data', text => {
    output += text
    wake()
  })
  let blocks = 0
  return async block => {
    const end = `-- the end of block ${++blocks}\n`
    await mkdir(join(cwd, 'blocks'), { recursive: true })
    await writeFile(join(cwd, 'blocks', `${blocks}.sh`), block)
    output = ''
    child.stdin.write(`. blocks/${blocks}.sh < /dev/null; echo '${end.trimEnd()}'\n`)
    while (!output.endsWith(end)) {
      const more = new Promise<void>(resolve => {
        wake = resolve
      })
      if ((await Promise.race([closed, more])) === null) return null
    }
    return output.slice(0, -end.length)
  }
}

/**
 * Checks that the output has the shape of the shown answer: one document on each line, or one on
 * several lines. `…` stands for more.
 */
function fits(t: Test, output: string, answer: Block): void {
  const documents = (text: string): unknown[] => {
    try {
      return [JSON.parse(text)]
    } catch {
      return text
        .split('\n')
        .filter(line => line.trim() !== '')
        .map(line => JSON.parse(line))
    }
  }
  const whole = answer.text.replace(/,?\s*…\s*([}\]])/g, (more, end) =>
    end === ']' ? end : `${more.startsWith(',') ? ',' : ''}"…":0}`
  )
  let [expected, actual]: unknown[][] = [[], []]
  try {
    ;[expected, actual] = [documents(whole), documents(output)]
  } catch (error) {
    return t.fail(`${placeOf(answer)}: ${(error as Error).message}\n${output}`) as unknown as void
  }
  t.strictSame(
    expected.map((document, i) => differs(document, actual[i], '')).filter(fault => fault !== null),
    [],
    `${placeOf(answer)} is what comes: ${output}`
  )
  t.equal(actual.length, expected.length, placeOf(answer))
}

/**
 * Says where the two differ in shape; null where they do not. States, outcomes, codes and counts of
 * bulk actions must be equal.
 */
function differs(expected: any, actual: any, path: string): string | null {
  const kind = (value: unknown) => {
    if (value === null) return 'null'
    return Array.isArray(value) ? 'array' : typeof value
  }
  if (kind(expected) !== kind(actual)) return `${path || '/'} is ${kind(actual)}, not ${kind(expected)}`
  if (Array.isArray(expected)) {
    if (expected.length > actual.length) return `${path} has ${actual.length} elements`
    return (
      expected
        .map((element, i) => differs(element, actual[i], `${path}/${i}`))
        .find(fault => fault !== null) ?? null
    )
  }
  if (typeof expected === 'object' && expected !== null) {
    const names = Object.keys(expected).filter(name => name !== '…')
    const unknown =
      names.length === Object.keys(expected).length
        ? Object.keys(actual).find(name => !names.includes(name))
        : undefined
    if (unknown !== undefined) return `${path}/${unknown} is not shown`
    return (
      names
        .map(name => differs(expected[name], actual[name], `${path}/${name}`))
        .find(fault => fault !== null) ?? null
    )
  }
  return /\/(state|outcome|code|redriven|purged|retried|matched)$/.test(path) && expected !== actual
    ? `${path} is ${actual}`
    : null
}

/** The grants in a block of a document, to another role. */
function grantsIn({ text }: Block, role: string): string[] {
  return text
    .split(';')
    .map(grant =>
      grant
        .replace(/^\s*--.*$/gm, '')
        .trim()
        .replaceAll(/\bapp\b/g, role)
    )
    .filter(grant => grant.startsWith('grant'))
}

t.test('the grants in docs/sql.md are what holdfast.enqueue and holdfast.ack need, and no more', async t => {
  const { url, name } = await freshDatabase(t)
  const owner = await connect(t, url)
  const role = `app_${name}`
  await owner.query(`create role ${role} login`)
  t.teardown(async () => {
    const client = new pg.Client(url.replace(name, 'postgres'))
    await client.connect()
    await client.query(`drop role ${role}`).finally(() => client.end())
  })
  t.teardown(() => owner.query(`drop owned by ${role}`))
  const blocks = pages.get('docs/sql.md')!.filter(({ text }) => text.includes('grant '))
  const grants = grantsIn(blocks[0]!, role)
  for (const grant of grants) await owner.query(grant)

  const app = await connect(t, url.replace(/\/\/[^@]*@/, `//${role}@`))
  // Everything that the two functions do, in each way. It is rolled back, to be done again.
  const keyed = { idempotencyKey: 'a', headers: { b: 'c' } }
  const use = async () => {
    await app.query('begin')
    try {
      const { rows } = await app.query("select holdfast.enqueue('q', '1', $1) as id", [keyed])
      await app.query("select holdfast.enqueue('q', '1', $1)", [keyed])
      await app.query("select holdfast.enqueue('full', '1')")
      for (const queue of ['kept', 'plain']) {
        await app.query(
          `
          select holdfast.ack(
            (select receipts.receipt from public.receipts where receipts.queue = $1)
          )`,
          [queue]
        )
      }
      return rows[0].id
    } finally {
      await app.query('rollback')
    }
  }
  await owner.query('create table public.receipts (queue text, receipt text)')
  await owner.query(`grant select on public.receipts to ${role}`)
  const holdfast = await service(t, { database: { url } })
  await holdfast.call('PUT', '/queues/full', { maxDepth: 10 })
  await holdfast.call('PUT', '/queues/kept', { keepAckedSeconds: 60 })
  for (const queue of ['kept', 'plain']) {
    await holdfast.post(`/queues/${queue}/messages`, { body: 1 })
    const { messages } = (await holdfast.post(`/queues/${queue}/lease`, { leaseSeconds: 600 })).body
    await owner.query('insert into public.receipts values ($1, $2)', [queue, messages[0].receipt])
  }
  t.ok(await use(), 'they are enough')

  await t.rejects(app.query('select * from holdfast.keys'), { code: '42501' }, 'the keys are out of reach')
  for (const sql of [
    "insert into holdfast.keys (id, name, digest, rights) values ('x', 'x', '', '{admin}')",
    'delete from holdfast.queues',
    'update holdfast.queues set paused = true',
    "update holdfast.messages set body = ''"
  ]) {
    await t.rejects(app.query(sql), { code: '42501' }, sql)
  }

  for (const grant of grants) {
    const [, privileges, objects] = /^grant (.+?) on (.+?) to /s.exec(grant)!
    for (const privilege of privileges!.split(',')) {
      for (const object of objects!.replace(/^(schema|sequence|table) /, '').split(',')) {
        const kind = /^(schema|sequence) /.exec(objects!)?.[0] ?? ''
        await owner.query(`revoke ${privilege} on ${kind}${object} from ${role}`)
        await t.rejects(use(), { code: '42501' }, `${privilege.trim()} on ${object.trim()} is needed`)
        await owner.query(`grant ${privilege} on ${kind}${object} to ${role}`)
      }
    }
  }

  await holdfast.call('PUT', '/queues/ordered', { ordering: 'group' })
  await holdfast.call('PUT', '/queues/turns', { fairness: 'group' })
  const inLines = async () => {
    for (const queue of ['ordered', 'turns']) {
      for (let n = 0; n < 2; n++) {
        await app.query('select holdfast.enqueue($1, $2, $3)', [queue, '1', { group: 'a' }])
      }
      const { messages } = (await holdfast.post(`/queues/${queue}/lease`, {})).body
      await app.query('select holdfast.ack($1)', [messages[0].receipt])
    }
  }
  await t.rejects(inLines(), { code: '42501' }, 'lines need more')
  const more = blocks.find(({ text }) => text.includes('holdfast.lines'))!
  for (const grant of grantsIn(more, role)) await owner.query(grant)
  await t.resolves(inLines(), 'they are enough')
})
