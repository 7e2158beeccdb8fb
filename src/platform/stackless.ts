// Errors that are answers, not faults.

/**
 * An error without a stack: nobody asks where it came from, and to find out is a tenth of what a refusal costs. It is empty,
 * not absent: GraphQL's errors copy the stack of their cause, or else find out their own.
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
