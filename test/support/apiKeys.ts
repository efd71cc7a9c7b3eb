/** A service that asks for API keys, and clients that have one. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { pollPause } from './pollPause.ts'
import { service, type Answer, type Client } from './service.ts'

export const bearer = (secret: string) => ({ authorization: `Bearer ${secret}` })

/** The same calls with a key. */
export function withKey(holdfast: Client, secret: string): Client {
  const call: Client['call'] = (method, path, body, headers) =>
    holdfast.call(method, path, body, { ...bearer(secret), ...headers })
  return {
    url: holdfast.url,
    call,
    post: (path, body, headers) => call('POST', path, body, headers),
    get: path => call('GET', path)
  }
}

/** A service with an admin key in a file, and a client that has this key. */
export async function guarded(t: Test, env: Record<string, string> = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-keys-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const secret = 'an-admin-key-of-the-tests-0123456789'
  await writeFile(join(folder, 'key'), `${secret}\n`)
  const holdfast = await service(t, {
    env: { HOLDFAST_ADMIN_KEY_FILE: join(folder, 'key'), ...env }
  })
  return { holdfast, admin: withKey(holdfast, secret) }
}

/** Asks until the answer has this status. Returns how long that took, in ms. */
export async function until(status: number, ask: () => Promise<Answer>): Promise<number> {
  const startedMs = performance.now()
  while ((await ask()).status !== status) {
    if (performance.now() - startedMs > 20_000) throw new Error(`no ${status} within 20 s`)
    await pollPause()
  }
  return performance.now() - startedMs
}

/** Makes a key, waits until the service knows it, and returns a client that has it. */
export async function clientWith(
  holdfast: Client,
  admin: Client,
  rights: string[],
  rates: object = {}
): Promise<Client & { id: string; secret: string }> {
  const { status, body } = await admin.post('/keys', { name: 'test', rights, ...rates })
  if (status !== 201) throw new Error(JSON.stringify(body))
  const { id, secret } = body
  await until(404, () => holdfast.call('PATCH', '/nowhere', undefined, bearer(secret)))
  return { ...withKey(holdfast, secret), id, secret }
}
