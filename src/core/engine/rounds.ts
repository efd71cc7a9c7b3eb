/**
 * Splits items into rounds so that no round holds a key twice. Items without a key go into the
 * first round. A statement can change a row once, so each round is a statement of its own.
 */
export function rounds<T>(items: T[], keyOf: (item: T) => string | null): T[][] {
  const split: T[][] = []
  const seen = new Map<string, number>()
  for (const item of items) {
    const key = keyOf(item)
    const round = key === null ? 0 : (seen.get(key) ?? 0)
    if (key !== null) seen.set(key, round + 1)
    if (split.length <= round) split.push([])
    split[round]!.push(item)
  }
  return split
}
