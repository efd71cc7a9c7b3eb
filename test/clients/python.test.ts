/** The Python worker, against a service of its own. */
import t from 'tap'
import { service } from '../support/service.ts'
import { noPython, runPython } from './setup.ts'

t.test('the tests of the package pass', { skip: noPython }, async t => {
  const { url } = await service(t)
  const { code, said } = await runPython(['-m', 'unittest', '-v', 'tests.test_worker'], url)
  t.equal(code, 0, said)
})
