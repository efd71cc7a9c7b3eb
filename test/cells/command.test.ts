/** holdfast cells: what it prints, and what it refuses. */
import { readFile, writeFile } from 'node:fs/promises'
import t from 'tap'
import { noRouter } from '../support/cells.ts'
import { cellsCommand, move, threeCells, twoCells } from './setup.ts'

const skip = noRouter

// Each has cells of its own.
t.jobs = 2
const buffered = true

t.test('doctor checks every cell, and what its database was told', { skip, buffered }, async t => {
  const cells = await threeCells(t)
  const fine = await cellsCommand(cells, 'doctor').ended
  t.match(fine.said, /Cell a\n(.*\n)+Cell b\n(.*\n)+Cell c\n/)
  t.match(fine.said, /ok +placement +the database knows/)
  t.match(fine.said, /ok +replica +http:\S+\/readyz: 200/)
  const file = JSON.parse(await readFile(cells.file, 'utf8'))
  file.prefixes['b-'] = 'b'
  await writeFile(cells.file, JSON.stringify(file))
  await cells.b.stop()
  const wrong = await cellsCommand(cells, 'doctor').ended
  t.equal(wrong.code, 1)
  t.match(wrong.said, /bad +placement +the database was told something else\n +→ Run holdfast cells place/)
  t.match(wrong.said, /bad +replica +\S+: ECONNREFUSED/)
})

t.test('place tells every cell, and names queues that are elsewhere', { skip, buffered }, async t => {
  const cells = await threeCells(t)
  await cells.router.call('PUT', '/queues/orders', {})
  const file = JSON.parse(await readFile(cells.file, 'utf8'))
  await writeFile(cells.file, JSON.stringify({ ...file, queues: { orders: 'b' } }))
  const { code, said } = await cellsCommand(cells, 'place').ended
  t.equal(code, 1)
  t.match(said, /The queue orders is in a, and the placement says b/)
  await writeFile(cells.file, JSON.stringify(file))
  t.match(await cellsCommand(cells, 'place').ended, { code: 0, said: '3 cells told.' })
  await cells.router.call('PUT', '/queues/mail', { deadLetterQueue: 'orders' })
  await writeFile(cells.file, JSON.stringify({ ...file, queues: { orders: 'b' } }))
  t.match(await cellsCommand(cells, 'place').ended, {
    code: 1,
    said: /Dead messages of mail go to orders, which would be in b/
  })
  t.equal((await cells.a.post('/queues/orders/messages', { body: 1 })).status, 201, 'nothing was told')
})

t.test('words that fit nothing are refused before anything happens', { skip, buffered }, async t => {
  const cells = await twoCells(t)
  t.match(await cellsCommand(cells).ended, { code: 2, said: /Use holdfast cells with config/ })
  t.match(await cellsCommand(cells, 'move', 'mail').ended, { code: 2, said: /Say where to/ })
  t.match(await move(cells, 'mail', 'z').ended, { code: 1, said: /z is not a cell/ })
  t.match(await cellsCommand(cells, 'move', 'mail', '--to', 'b').ended, {
    code: 1,
    said: /There is nobody to press Enter/
  })
  t.match(await move(cells, 'mail', 'a').ended, { code: 1, said: /on its way to b. Finish that move first/ })
  t.match(await cellsCommand({ file: '/none.json' }, 'map').ended, {
    code: 2,
    said: /cannot be read \(ENOENT\)/
  })
})
