/** The Go client: its scenario, and its tests against a service of its own. */
import { join, resolve } from 'node:path'
import t from 'tap'
import { noGo } from '../support/debian.ts'
import { service } from '../support/service.ts'
import { runGo } from './setup.ts'

t.test('the Go client', { skip: noGo }, async t => {
  const tests = join(t.testdir(), 'tests')

  await t.test('it compiles, and gofmt and go vet find nothing', async t => {
    t.strictSame(await runGo('gofmt', ['-l', '.', '../../docs/examples/go']), { code: 0, said: '' })
    t.strictSame(await runGo('go', ['vet', './...']), { code: 0, said: '' })
    t.strictSame(await runGo('go', ['test', '-c', '-vet=off', '-o', tests]), { code: 0, said: '' })
  })

  await t.test('it runs the scenario of all clients', async t => {
    const { url } = await service(t, { env: { HOLDFAST_PUSH_PRIVATE: 'on' } })
    const env = { HOLDFAST_URL: url, HOLDFAST_SCENARIO: resolve('test/clients/scenario.json') }
    const { code, said } = await runGo(tests, ['-test.v', '-test.run=^TestScenario$'], env)
    t.equal(code, 0, code === 0 ? 'it passes' : said)
    t.match(said, '--- PASS: TestScenario')
  })

  await t.test('the tests of the module pass', async t => {
    const { url } = await service(t)
    // Most of them wait for the end of a lease, so they run side by side.
    const { code, said } = await runGo(tests, ['-test.v', '-test.parallel=16'], { HOLDFAST_URL: url })
    t.equal(code, 0, code === 0 ? 'they pass' : said)
    t.strictSame(said.match(/^--- SKIP.*$/gm)?.length, 1, 'only the scenario is skipped')
  })
})
