/**
 * Splits items into rounds so that no round holds a key twice. Items without a key go into the
 * first round. A statement can change a row once, so each round is a statement of its own.
 */
export function rounds<T>(items: T[], ...keysOf: ((item: T) => string | null)[]): T[][] {
  const split: T[][] = []
  const seen = keysOf.map(() => new Map<string, number>())
  for (const item of items) {
    const keys = keysOf.map(keyOf => keyOf(item))
    const round = Math.max(...keys.map((key, kind) => (key === null ? 0 : (seen[kind]!.get(key) ?? 0))))
    for (const [kind, key] of keys.entries()) if (key !== null) seen[kind]!.set(key, round + 1)
    if (split.length <= round) split.push([])
    split[round]!.push(item)
  }
  return split
}
