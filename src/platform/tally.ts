// How many each one holds of something that all share.

/** Counts by name. Names that hold nothing take no memory. */
export interface Tally {
  add(name: string): void
  remove(name: string): void
  of(name: string): number
  /** A name that holds as much as any; undefined while nobody holds anything. */
  most(): string | undefined
}

/** Makes an empty one. */
export function createTally(): Tally {
  const counts = new Map<string, number>()
  const of = (name: string) => counts.get(name) ?? 0
  return {
    of,
    add: (name) => void counts.set(name, of(name) + 1),
    remove: (name) => void (of(name) > 1 ? counts.set(name, of(name) - 1) : counts.delete(name)),
    most() {
      let [most, highest]: [string | undefined, number] = [undefined, 0]
      for (const [name, count] of counts) if (count > highest) [most, highest] = [name, count]
      return most
    },
  }
}
