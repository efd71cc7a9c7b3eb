/** Statements that answer the same thing answer the same columns. The compiler does not see that. */
import t from 'tap'
import { lookups } from '../../src/store/verbs/browse.ts'
import { connect, freshDatabase } from '../support/postgres.ts'

t.test('a message has the same columns wherever it is found', async t => {
  const client = await connect(t, (await freshDatabase(t)).config)
  const [first, ...others] = await Promise.all(
    lookups.map(async ({ name, text }) => {
      const { fields } = await client.query(text, [1, 1])
      return { name, columns: fields.map(field => field.name).sort() }
    })
  )
  for (const { name, columns } of others) t.strictSame(columns, first!.columns, name)
})
