/**
 * The fault bench in short: five faults in an order drawn from a seed. test/database/hosts.test.ts has
 * a killed and a frozen primary.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { random } from '../faultbench/random.ts'
import { run } from '../faultbench/run.ts'

const root = new URL('../../', import.meta.url).pathname
const short = ['replica-kill', 'backend-kill', 'commit-reply-cut', 'reset-all']
/** It takes the longest. Meanwhile leases end that pushes have lost. */
const last = 'consumer-stop'

t.test('whatever breaks, nothing is lost, doubled or given to two', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'holdfast-faults-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  const seed = Math.floor(Date.now() / 1000)
  const { verdict, findings, untested, figures } = await run({
    root,
    folder,
    seed,
    faults: [...random(seed).shuffled(short), last],
    untilMs: 0,
    say: line => t.comment(line)
  })
  t.strictSame(
    Object.entries(findings).filter(([, list]) => list.length > 0),
    []
  )
  t.strictSame(untested, [])
  t.ok(figures.pushed > 0)
  t.equal(verdict, 'PASS', `seed ${seed}: ${JSON.stringify(figures)}`)
})
