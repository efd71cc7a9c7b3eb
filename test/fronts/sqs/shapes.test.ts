/** The checked-in table of operations is what the AWS SDK says. */
import { readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { shapesText } from './writeShapes.ts'

const file = 'src/fronts/sqs/shapes.ts'

t.test('the table of operations, shapes and errors is that of @aws-sdk/client-sqs', async t => {
  const text = await shapesText()
  if (process.env.HOLDFAST_TEST_WRITE) await writeFile(file, text)
  t.equal(await readFile(file, 'utf8'), text, 'else: HOLDFAST_TEST_WRITE=1')
})
