// Waiting for a condition instead of for some time to pass. Behind the tests and behind `npm run up`.

/** Asks again until there is an answer. Throws after `deadlineMs`, by default 20 s, with what it was waiting for. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | undefined | false> | T | undefined | false,
  deadlineMs = 20_000,
): Promise<T> {
  const deadline = performance.now() + deadlineMs
  for (;;) {
    const answer = await ask()
    if (answer !== undefined && answer !== false) return answer
    if (performance.now() > deadline) throw new Error(`not within ${deadlineMs / 1_000} s: ${what}`)
    await Bun.sleep(10)
  }
}
