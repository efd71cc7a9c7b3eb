/**
 * The contract holds through the router of two cells. Some of its tests run once more, with their calls
 * routed. HOLDFAST_TEST_CELLS=2 does the same for any other.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { noRouter } from '../support/cells.ts'

const files = ['test/fronts/rest/contract/enqueue.test.ts']

for (const file of files) {
  t.test(file, { skip: noRouter }, async t => {
    const child = spawn(process.execPath, [file], {
      env: { ...process.env, HOLDFAST_TEST_CELLS: '2' },
      stdio: ['ignore', 'pipe', 'inherit']
    })
    let said = ''
    child.stdout.on('data', data => {
      said += data
    })
    const [code] = await once(child, 'close')
    t.equal(code, 0, code === 0 ? file : said)
  })
}
