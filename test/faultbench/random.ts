/** Random choices that a seed decides: the same seed gives the same choices. */
export interface Random {
  below(limit: number): number
  chance(share: number): boolean
  pick<T>(items: readonly T[]): T
  weighted(weights: Record<string, number>): string
  shuffled<T>(items: readonly T[]): T[]
}

export function random(seed: number): Random {
  let state = seed >>> 0
  // mulberry32
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
  const below = (limit: number) => Math.floor(next() * limit)
  return {
    below,
    chance: share => next() < share,
    pick: items => items[below(items.length)]!,
    weighted(weights) {
      let left = next() * Object.values(weights).reduce((sum, weight) => sum + weight)
      return (
        Object.entries(weights).find(([, weight]) => (left -= weight) < 0)?.[0] ?? Object.keys(weights)[0]!
      )
    },
    shuffled(items) {
      return items
        .map(item => ({ item, order: next() }))
        .sort((a, b) => a.order - b.order)
        .map(({ item }) => item)
    }
  }
}
