// Errors that are answers, not faults.

/**
 * An error without a stack: nobody asks where it came from, and to find out costs a tenth of a request. GraphQL's errors
 * copy the stack, or else find out their own, so it is empty, not absent.
 */
export class StacklessError extends Error {
  constructor(message?: string) {
    const { stackTraceLimit } = Error
    Error.stackTraceLimit = 0
    super(message)
    Error.stackTraceLimit = stackTraceLimit
    this.stack = ''
  }
}
