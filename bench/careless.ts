// A server that tells by its time who has an account: one line of ours put another way. bench/timing.ts must notice it.

/** What a careless server would do, put in the place of what ours does. */
export const EARLY_EXIT = {
  file: 'src/passwords/passwords.ts',
  from: '() => verify(password, hash())',
  to: '() => (hash() === decoy ? Promise.resolve(false) : verify(password, hash()))',
} as const

/** The file with that line in its place. Throws when the line is not there any more, or not once. */
export function spoil(text: string): string {
  const [before, after, ...more] = text.split(EARLY_EXIT.from)
  if (before === undefined || after === undefined || more.length > 0)
    throw new Error(`${EARLY_EXIT.file} no longer has the line that is to be spoilt`)
  return before + EARLY_EXIT.to + after
}
