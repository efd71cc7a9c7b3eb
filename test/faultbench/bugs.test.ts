/** The bugs of the fault bench still apply. */
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { bugs, withBug } from './bugs.ts'
import { faults } from './faults.ts'

t.test('every bug can be put into a copy of the source, and names faults that exist', async t => {
  for (const { name, faults: named } of await bugs()) {
    for (const fault of named) t.ok(faults[fault], `${name}: ${fault}`)
    await withBug(name, async copy => t.ok(await stat(join(copy, 'src/main.ts')), name))
  }
})
