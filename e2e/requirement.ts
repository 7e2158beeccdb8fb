// What a test needs and this repository cannot bring. Where it is missing, the tests that need it are skipped and
// e2e/suite.ts tells why; under CI nothing may be skipped.

/** How a line of output begins that tells what is missing. */
export const MISSING = 'missing: '

/** Whether `what` is here, for `test.skipIf(!…)`. Tells the suite if it is not; throws under `CI=true`. */
export function requires(what: string, present: boolean): boolean {
  if (present) return true
  if (process.env['CI'] === 'true')
    throw new Error(`${what} is missing, and under CI=true no test may be skipped.`)
  console.warn(`${MISSING}${what}`)
  return false
}
