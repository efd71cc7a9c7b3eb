/** compose.yaml: its secrets are the owner's alone, and its containers have no more than they need. */
import { execFileSync } from 'node:child_process'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'

const compose = await readFile('compose.yaml', 'utf8')
/** The text of each service. */
const services = new Map(
  [...compose.matchAll(/^ {2}(holdfast|postgres):\n((?: {4}.*\n|\n)+)/gm)].map(([, name, text]) => [
    name,
    text!
  ])
)

t.test('its first lines make secrets that only their owner can read', async t => {
  const [, commands] = /^#( {3}\(umask[^]*?\))$/m.exec(compose)!
  const folder = t.testdir({})
  execFileSync('bash', ['-euc', commands!.replace(/^#/gm, '')], { cwd: folder })
  for (const name of ['admin.key', '.env']) {
    t.equal((await stat(join(folder, name))).mode & 0o777, 0o600, name)
  }
  t.match(await readFile(join(folder, 'admin.key'), 'utf8'), /^[\x21-\x7e]{32,256}\n$/)
  t.match(
    await readFile(join(folder, '.env'), 'utf8'),
    /^POSTGRES_PASSWORD=[0-9a-f]{48}\nSERVICE_USER=\d+:\d+\n$/
  )
  const ignored = await readFile('.gitignore', 'utf8')
  for (const name of ['admin.key', '.env']) t.ok(ignored.split('\n').includes(name), `git ignores ${name}`)
})

t.test('no password has a default, and every container is hardened and bounded', async t => {
  t.notMatch(compose, /PASSWORD:?-/)
  t.match(compose, /POSTGRES_PASSWORD: \$\{POSTGRES_PASSWORD:\?/)
  t.match(
    compose,
    /read_only: true\n {2}cap_drop:\n {4}- ALL\n {2}security_opt:\n {4}- no-new-privileges:true\n/
  )
  t.strictSame([...services.keys()], ['holdfast', 'postgres'])
  for (const [name = '', text] of services) {
    t.match(text, /<<: \*hardened\n/, name)
    t.match(text, /limits:\n {10}memory: \d+G\n {10}pids: \d+\n/, name)
  }
  t.notMatch(services.get('postgres'), /^ {4}ports:/m, 'only the service reaches PostgreSQL')
})
