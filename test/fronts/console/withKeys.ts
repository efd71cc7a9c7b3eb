/** A service that asks for API keys. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Test } from 'tap'
import { pollPause } from '../../support/pollPause.ts'
import { service, type Client } from '../../support/service.ts'

const secret = 'an-admin-key-for-this-test-of-the-console'

export interface Keyed {
  holdfast: Client
  /** The secret of the admin key, and the headers that carry it. */
  secret: string
  admin: Record<string, string>
  /** Makes a key with these rights. Resolves when the service knows it. */
  makeKey: (rights: string[]) => Promise<{ id: string; secret: string; headers: Record<string, string> }>
}

export async function serviceWithKeys(t: Test): Promise<Keyed> {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-console-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await writeFile(`${folder}/key`, secret)
  const holdfast = await service(t, { env: { HOLDFAST_ADMIN_KEY_FILE: `${folder}/key` } })
  const admin = { authorization: `Bearer ${secret}` }
  const makeKey = async (rights: string[]) => {
    const { body } = await holdfast.call('POST', '/keys', { name: 'limited', rights }, admin)
    const headers = { authorization: `Bearer ${body.secret}` }
    while ((await holdfast.call('GET', '/console/rights', undefined, headers)).status !== 200) {
      await pollPause() // every replica knows a new key within two seconds
    }
    return { id: body.id, secret: body.secret, headers }
  }
  return { holdfast, secret, admin, makeKey }
}
