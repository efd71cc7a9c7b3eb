/** The bugs of the fault bench still apply. */
import t from 'tap'
import { bugs, putIn, withCopy } from './bugs.ts'
import { faults } from './faults.ts'

t.test('every bug can be put into a copy of the source, and names faults that exist', async t => {
  await withCopy(async root => {
    for (const { name, faults: named } of await bugs()) {
      for (const fault of named) t.ok(faults[fault], `${name}: ${fault}`)
      await t.resolves(putIn(name, root, '--check'), name)
    }
  })
})
