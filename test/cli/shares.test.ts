/** holdfast doctor says who holds much of what callers share. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { askHeldBounds, shares } from '../../src/cli/doctor/shares.ts'
import type { Check } from '../../src/cli/doctor/check.ts'
import { readConfig } from '../../src/config.ts'
import { pollPause } from '../support/pollPause.ts'
import { clientWith, withKey } from '../support/apiKeys.ts'
import { service } from '../support/service.ts'

t.test('the service tells doctor who holds most of what', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-shares-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const secret = 'an-admin-key-of-the-tests-0123456789'
  const env = { HOLDFAST_ADMIN_KEY_FILE: join(folder, 'key'), HOLDFAST_WAITERS_MAX: '4' }
  await writeFile(env.HOLDFAST_ADMIN_KEY_FILE, secret)
  const holdfast = await service(t, { env })
  const config = readConfig({ ...env, HOLDFAST_PORT: new URL(holdfast.url).port })
  const byKey = readConfig({ HOLDFAST_KEY: secret, HOLDFAST_PORT: new URL(holdfast.url).port })
  t.ok(await askHeldBounds(byKey), 'with the key that commands send')
  const worker = await clientWith(holdfast, withKey(holdfast, secret), ['lease:*', 'manage:*'])
  await worker.call('PUT', '/queues/q')
  const waiting = [1, 2].map(() => worker.post('/queues/q/lease', { waitSeconds: 60 }))
  const judged = async () =>
    shares({} as never, config, {
      replicas: 0,
      filesMax: null,
      heldBounds: await askHeldBounds(config)
    }) as Check | undefined
  const full = `50 % of waiting_calls (2 of 4) held, most by ${worker.id} (2)`
  let check = await judged()
  while (check?.value.startsWith(full) !== true) check = await judged()
  t.match(check, { status: 'warning', advice: /holdfast keys list/ })
  t.match(await worker.post('/queues/q/lease', { waitSeconds: 60 }), {
    status: 429,
    body: { code: 'shareUsedUp', detail: /share of the 4 waiting calls/ }
  })
  t.match(await judged(), { value: /; 1 call refused since the start$/ })
  await withKey(holdfast, secret).call('DELETE', `/keys/${worker.id}`)
  t.ok((await Promise.all(waiting)).every(({ status }) => status === 401))
  while ((await judged())?.status !== 'ok') await pollPause()
  await holdfast.stop()
  t.equal(await askHeldBounds(config), null, 'no service, no check')
})
