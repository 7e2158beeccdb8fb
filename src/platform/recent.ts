// A bounded memory of what was used lately, in two generations: dropping the older one at once is far cheaper than
// finding the least used entry each time, and what is in use moves to the younger one.

/** Holds at most twice `limit`, in entries or by their weights; always keeps what was used last, up to `limit`. */
export interface Recent<V> {
  get(key: string): V | undefined
  set(key: string, value: V): void
}

/** Makes an empty one. Each entry counts as one, or as `weightOf` its key says. */
export function createRecent<V>(
  limit: number,
  weightOf: (key: string) => number = () => 1,
): Recent<V> {
  let young = new Map<string, V>()
  let old = new Map<string, V>()
  let weight = 0
  return { get, set }

  function get(key: string): V | undefined {
    const value = young.get(key)
    if (value !== undefined) return value
    const older = old.get(key)
    if (older !== undefined) set(key, older)
    return older
  }

  function set(key: string, value: V): void {
    if (!young.has(key)) makeRoom(weightOf(key))
    young.set(key, value)
  }

  function makeRoom(more: number): void {
    if (weight + more > limit) {
      old = young
      young = new Map()
      weight = 0
    }
    weight += more
  }
}
