// Counts how a flow ended: its own result when it returns, the result of its error when it throws.

import type { ErrorCode } from '../errors.ts'
import { AuthError, ClientLeft } from '../errors.ts'

/** The result for each error that a flow may throw; `left`: for a client that did not wait. */
export type Thrown<R> = Partial<Record<ErrorCode | 'left', R>>

/** Runs `flow`, counts one result, and returns or throws what the flow did. */
export async function counted<T, R extends string>(
  count: (result: R | 'error') => void,
  results: { returned: (value: T) => R; thrown: Thrown<NoInfer<R>> },
  flow: () => Promise<T>,
): Promise<T> {
  try {
    const value = await flow()
    count(results.returned(value))
    return value
  } catch (error) {
    count(resultOf(error, results.thrown) ?? 'error')
    throw error
  }
}

function resultOf<R>(error: unknown, results: Thrown<R>): R | undefined {
  if (error instanceof ClientLeft) return results.left
  return error instanceof AuthError ? results[error.code] : undefined
}
