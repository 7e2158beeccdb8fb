// What a command throws when it did nothing, or not all of it, and the operator has to decide what to do.

/** Exit code 1; the message is a sentence that says why. */
export class NotDone extends Error {
  override readonly name = 'NotDone'
}
