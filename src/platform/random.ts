// Chance enters here: identifiers and secrets, from the system's generator.
// Identifiers are for telling things apart and may be guessed in part; secrets may not.

/** Where identifiers and secrets come from. */
export interface Random {
  /** A new identifier such as `usr_01926f…`: ordered by time, so that rows are inserted side by side. Not a secret. */
  id(prefix: string): string
  /** `size` unpredictable bytes. */
  bytes(size: number): Uint8Array
  /** A number in [0, 1) for spreading retries. Not for secrets. */
  fraction(): number
}

/** The system's generator. */
export const systemRandom: Random = {
  id: (prefix) => `${prefix}_${Bun.randomUUIDv7()}`,
  bytes: (size) => crypto.getRandomValues(new Uint8Array(size)),
  fraction: () => Math.random(),
}
