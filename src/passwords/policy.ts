// What may be chosen as a password, wherever one is set: first the rules, which ask nobody; then, once the attempt is charged,
// the question to a breach service. What may be tried at a login is another matter: rules may be newer than a password.

import type { InputFault } from '../errors.ts'
import { AuthError } from '../errors.ts'
import type { Blocklist } from './blocklist.ts'
import type { BreachCheck } from './breaches.ts'
import { without, wordsOfEmail } from './context.ts'
import type { Password } from './password.ts'
import { parsePassword } from './password.ts'

/** The rules for a new password. */
export interface PasswordPolicy {
  /** Reads a password chosen for an e-mail address. Throws `WEAK_PASSWORD` with the reason; `field` names the argument. */
  choose(text: string, about: { field: string; email: string }): Password
  /** Asks the breach service, if there is one, about a chosen password. Throws `WEAK_PASSWORD` if it is known from a breach. */
  requireUnbreached(password: Password, about: { field: string }): Promise<void>
}

/** What the rules depend on. */
export interface PasswordPolicyOptions {
  readonly minLength: number
  readonly blocklist: Blocklist
  /** The names of the service, folded. */
  readonly serviceWords: readonly string[]
  /** Absent: nobody else is asked. */
  readonly breaches: BreachCheck | undefined
}

/** What is left of a password without the words of its context must have at least this many characters. */
const OWN_CHARACTERS = 8

/** Makes the rules. */
export function createPasswordPolicy(options: PasswordPolicyOptions): PasswordPolicy {
  const { minLength, blocklist, serviceWords, breaches } = options
  return {
    choose(text, { field, email }) {
      const password = parsePassword(text, { field, minLength })
      const reason = weakness(password, email)
      if (reason) throw new AuthError('WEAK_PASSWORD', { field, reason })
      return password
    },

    async requireUnbreached(password, { field }) {
      if (await breaches?.(password))
        throw new AuthError('WEAK_PASSWORD', { field, reason: 'breached' })
    },
  }

  function weakness(password: Password, email: string): InputFault | null {
    if (blocklist(password)) return 'common'
    const words = [...serviceWords, ...wordsOfEmail(email)]
    const own = without(password, words)
    return [...own].length < OWN_CHARACTERS || blocklist(own) ? 'context' : null
  }
}
