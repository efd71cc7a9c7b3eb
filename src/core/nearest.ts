/** Finds the name that somebody probably meant. */

/** Of the pairs of letters in two names, at least this share must be in both. */
const likenessMin = 0.4

/** The name that looks most like `name`, by pairs of letters; null when none looks like it. */
export function nearest(name: string, names: string[]): string | null {
  const pairs = pairsOf(name)
  let best: string | null = null
  let bestLikeness = likenessMin
  for (const other of names) {
    const otherPairs = pairsOf(other)
    const shared = [...pairs].filter(pair => otherPairs.has(pair)).length
    const likeness = (2 * shared) / (pairs.size + otherPairs.size)
    if (likeness < bestLikeness || (likeness === bestLikeness && best !== null)) continue
    best = other
    bestLikeness = likeness
  }
  return best
}

/** The pairs of letters, and the first and the last letter. Case, - and _ do not count. */
function pairsOf(name: string): Set<string> {
  const letters = ` ${name.toLowerCase().replaceAll(/[-_]/g, '')} `
  return new Set([...letters].slice(1).map((_, index) => letters.slice(index, index + 2)))
}
