/** Which callers must show a key, and which are refused where no key is needed. */
import { mkdtemp, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { guarded } from '../../support/apiKeys.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { client, service } from '../../support/service.ts'

t.test('a service for other machines has a key, or is told with HOLDFAST_AUTH=off to need none', async t => {
  const database = await freshDatabase(t)
  await t.rejects(
    service(t, { database, env: { HOLDFAST_HOST: '0.0.0.0' } }),
    /There is no API key yet.*HOLDFAST_AUTH=off/
  )
  const open = await service(t, { database, env: { HOLDFAST_HOST: '0.0.0.0', HOLDFAST_AUTH: 'off' } })
  t.equal((await client(open.url.replace('0.0.0.0', '127.0.0.1')).get('/queues')).status, 200)
  await open.post('/keys', { name: 'x', rights: ['browse:*'] })
  const { url } = await service(t, { database, env: { HOLDFAST_HOST: '0.0.0.0' } })
  t.equal((await client(url.replace('0.0.0.0', '127.0.0.1')).get('/queues')).status, 401)
})

t.test('an admin key file that cannot be read, or holds no good key, stops the start', async t => {
  const database = await freshDatabase(t)
  const startWith = (file: string) => service(t, { database, env: { HOLDFAST_ADMIN_KEY_FILE: file } })
  for (const text of ['short', `${'x'.repeat(40)}\n${'y'.repeat(40)}`]) {
    const file = join(await mkdtemp(join(tmpdir(), 'holdfast-keys-')), 'key')
    await writeFile(file, text)
    await t.rejects(startWith(file), /32 to 256/)
  }
  await t.rejects(startWith('/nowhere'), /cannot be read \(ENOENT\)/)
})

t.test('while there is no key, web pages of other sites are refused', async t => {
  const holdfast = await service(t)
  const { host } = new URL(holdfast.url)
  const statusWith = (headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      request(
        `${holdfast.url}/queues/q/messages`,
        { method: 'POST', headers: { 'content-type': 'text/plain', ...headers } },
        answer => {
          answer.resume()
          resolve(answer.statusCode!)
        }
      )
        .on('error', reject)
        .end('hello')
    })
  for (const headers of [
    {},
    { origin: `http://${host}` },
    { host: 'localhost' },
    { host: `queue.localhost:${host.split(':')[1]}` }
  ]) {
    t.equal(await statusWith(headers as {}), 201, JSON.stringify(headers))
  }
  for (const headers of [
    { origin: 'https://example.org' },
    { origin: 'null' },
    { origin: `https://${host}` },
    { host: 'example.org' },
    { host: 'example.org.:8080', origin: 'http://example.org.:8080' }
  ]) {
    t.equal(await statusWith(headers as {}), 403, JSON.stringify(headers))
  }
  t.equal((await holdfast.get('/queues/q')).body.counts.ready, 4)
})

t.test('Swagger UI, the API document and the metrics can be open to all', async t => {
  const { holdfast } = await guarded(t, { HOLDFAST_OPEN: 'docs,metrics' })
  for (const path of ['/docs/static/index.html', '/docs/json', '/openapi.json', '/metrics']) {
    t.equal((await holdfast.get(path)).status, 200, path)
  }
  t.equal((await holdfast.get('/queues')).status, 401)
})
