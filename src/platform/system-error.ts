// Errors of the system: each has a code, such as `ENOENT`, which programs decide by. Its message is for people, and names paths.

/** The code of such an error; undefined for any other, and for what is no error. */
export function systemCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined
}
