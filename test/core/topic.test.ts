/** Which routing keys a pattern matches. */
import fc from 'fast-check'
import t from 'tap'
import { anyWords, matches, oneWord, Routes, routingKeyPattern } from '../../src/core/topic.ts'
import type { Queue } from '../../src/core/queue.ts'

/** The rule itself, without cleverness. */
function rule(pattern: string[], key: string[]): boolean {
  if (pattern.length === 0) return key.length === 0
  const [first, ...rest] = pattern
  if (first === '#') return rule(rest, key) || (key.length > 0 && rule(pattern, key.slice(1)))
  return key.length > 0 && (first === '*' || first === key[0]) && rule(rest, key.slice(1))
}

/** Words of a pattern as numbers. In a key, `*` and `#` are ordinary words. */
const inPattern = (words: string[]) =>
  words.map(word => (word === '#' ? anyWords : word === '*' ? oneWord : word.charCodeAt(0)))
const inKey = (words: string[]) => words.map(word => word.charCodeAt(0))

t.test('a pattern matches as the rule says, whatever words there are', async t => {
  const words = (of: string[]) => fc.array(fc.constantFrom(...of), { maxLength: 7 })
  fc.assert(
    fc.property(words(['a', 'b', '*', '#']), words(['a', 'b', '*', '#']), (pattern, key) => {
      const text = `${pattern.join('.')} and ${key.join('.')}`
      t.equal(matches(inPattern(pattern), inKey(key)), rule(pattern, key), text)
    }),
    { numRuns: 2000 }
  )
})

t.test(
  'a pattern that begins again and again takes no more than its words times those of the key',
  async t => {
    const pattern = ['#', ...Array(126).fill('a'), 'b', '#', ...Array(126).fill('a'), 'b']
    const startedMs = performance.now()
    t.equal(matches(inPattern(pattern), inKey(Array(128).fill('a'))), false)
    t.ok(performance.now() - startedMs < 100)
  }
)

t.test('words are joined by single dots', async t => {
  const isKey = (text: string) => new RegExp(routingKeyPattern, 'u').test(text)
  for (const key of ['a', 'a.b', 'Ä.💡', '*', 'a b', '#.x']) t.ok(isKey(key), key)
  for (const key of ['', '.', 'a.', '.a', 'a..b', 'a\0', '\ud800']) t.notOk(isKey(key), JSON.stringify(key))
})

t.test('routes remember what they have found, within a bound', async t => {
  const queue = (name: string) => ({ id: name, name }) as Queue
  const routes = new Routes([
    { queue: queue('all'), pattern: '#' },
    { queue: queue('one'), pattern: '*' },
    { queue: queue('eu'), pattern: 'eu.#' }
  ])
  const names = (key?: string) => routes.of(key).map(({ queue }) => queue.name)
  t.strictSame(names(), ['all'], 'without a key')
  t.strictSame(names('eu'), ['all', 'one', 'eu'])
  t.equal(routes.of('eu'), routes.of('eu'))
  for (let n = 0; n < 5000; n++) t.equal(routes.of(`eu.${n}`).length, 2)
  t.strictSame(names('us.x'), ['all'])
})
