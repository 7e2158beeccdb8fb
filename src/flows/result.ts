// Counts how a flow ended: its own result when it returns, the result of its error when it throws.

import type { ErrorCode } from '../errors.ts'
import { AuthError } from '../errors.ts'

/** Runs `flow`, counts one result, and returns or throws what the flow did. */
export async function counted<T, R extends string>(
  count: (result: R | 'error') => void,
  results: { returned: (value: T) => R; thrown: Partial<Record<ErrorCode, NoInfer<R>>> },
  flow: () => Promise<T>,
): Promise<T> {
  try {
    const value = await flow()
    count(results.returned(value))
    return value
  } catch (error) {
    count((error instanceof AuthError && results.thrown[error.code]) || 'error')
    throw error
  }
}
