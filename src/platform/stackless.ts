// Errors that are answers, not faults.

/**
 * An error without a stack: nobody asks where it came from, and capturing one is a tenth of the cost of a refusal. The stack is
 * empty, not absent: GraphQL's errors copy the stack of their cause, and capture their own where there is none.
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
