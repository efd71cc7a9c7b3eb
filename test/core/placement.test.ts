/** Which cell a name belongs to, and placement files that are refused. */
import fc from 'fast-check'
import t from 'tap'
import { Placement, type PlacementFile } from '../../src/core/placement.ts'
import { mapOf } from '../../src/cells/haproxy.ts'

const cell = (n: number) => ({
  databaseUrl: 'postgresql://db/holdfast',
  replicas: [`http://10.0.0.${n}:8080`]
})
const cells = { a: cell(1), b: cell(2), c: cell(3) }

const read = (file: object) => Placement.read(JSON.stringify({ cells, prefixes: { '': 'a' }, ...file }))

t.test('the whole name counts before any prefix, and the longest prefix before others', async t => {
  const placement = read({ prefixes: { '': 'a', 'eu-': 'b', 'eu-x': 'c' }, queues: { 'eu-xy': 'a' } })
  const homes = { mail: 'a', 'eu-': 'b', 'eu-mail': 'b', 'eu-x': 'c', 'eu-xyz': 'c', 'eu-xy': 'a', eu: 'a' }
  for (const [queue, home] of Object.entries(homes)) t.equal(placement.cellOf(queue), home, queue)
})

t.test('new messages of a queue that moves belong to the new cell', async t => {
  const placement = read({}).withMove('mail', { to: 'b', resume: [] })
  t.equal(placement.cellOf('mail'), 'a')
  t.equal(placement.targetOf('mail'), 'b')
  t.same(placement.rowsFor('b'), [
    { name: '', whole: false, cell: 'a' },
    { name: 'mail', whole: true, cell: null }
  ])
  const moved = placement.withMove('mail', null)
  t.equal(moved.cellOf('mail'), 'b')
  t.same(moved.rowsFor('b'), placement.rowsFor('b'))
  t.same(moved.file.moving, {})
})

t.test('the map says what the placement says', async () => {
  const name = fc.stringMatching(/^[ab.]{1,4}$/).filter(text => /^[ab]/.test(text))
  const someCell = fc.constantFrom('a', 'b', 'c')
  const places = fc.record({
    prefixes: fc.dictionary(name, someCell, { maxKeys: 5 }),
    queues: fc.dictionary(name, someCell, { maxKeys: 5 }),
    moving: fc.dictionary(name, fc.record({ to: someCell, resume: fc.constant([]) }), { maxKeys: 3 })
  })
  fc.assert(
    fc.property(places, name, ({ prefixes, ...rest }, queue) => {
      const placement = read({ prefixes: { '': 'a', ...prefixes }, ...rest })
      // What `map_beg` of HAProxy does: the longest line that the key begins with.
      const lines = mapOf(placement)
        .split('\n')
        .slice(0, -1)
        .map(line => line.split(' '))
      const found = (key: string) =>
        lines
          .filter(([beginning]) => key.startsWith(beginning!))
          .toSorted(([x], [y]) => y!.length - x!.length)[0]?.[1] ?? placement.otherwise
      return (
        found(`${queue}/`) === placement.cellOf(queue) &&
        found(`${queue}/enqueue`) === placement.targetOf(queue)
      )
    })
  )
})

t.test('a placement that cannot be used is refused with what is wrong', async t => {
  const wrong: [object, RegExp][] = [
    [{ cells: {} }, /cells must name one cell at least/],
    [{ cells: { A: cell(1) } }, /The cell A needs another name/],
    [{ cells: { a: { replicas: [] } } }, /The cell a needs a databaseUrl/],
    [{ cells: { a: { ...cell(1), replicas: ['10.0.0.1'] } } }, /The cell a needs replicas/],
    [{ prefixes: {} }, /prefixes must place ""/],
    [{ prefixes: { '': 'z' } }, /"" is placed in z, which is no cell/],
    [{ queues: { mail: 'z' } }, /mail is placed in z/],
    [{ queues: { 'a b': 'a' } }, /No queue can be called a b/],
    [{ prefixes: { '': 'a', '/': 'a' } }, /No queue can be called \//],
    [{ queue: {} }, /The placement has no queue/],
    [{ queues: [] }, /queues must be an object/],
    [{ moving: { mail: 'b' } }, /moving\.mail must be/]
  ]
  for (const [file, sentence] of wrong) t.throws(() => read(file), { message: sentence })
  t.throws(() => Placement.read('[]'), { message: /must be an object/ } satisfies { message: RegExp })
  t.type(read({} satisfies Partial<PlacementFile>), Placement)
})
