// What clients were told: every user whose signup was acknowledged, and those of whom nobody knows. Every drill is judged by it.

import { KIM, LOGIN, SIGNUP } from '../src/testing/app.ts'
import type { Answer } from './ask.ts'
import { ask } from './ask.ts'

/** A ledger of signups. */
export interface Ledger {
  /** In the order of their acknowledgements. It goes on growing. */
  readonly acknowledged: readonly string[]
  /** Sent, and not acknowledged: there or not there. */
  readonly unknown: readonly string[]
  /** How many answers there were of each code; `none`: the connection was cut. */
  readonly refusals: ReadonlyMap<string, number>
  /** Signs up one new user at this server and writes down what it said. Never throws. */
  signUp(url: string): Promise<Answer | null>
}

/** An empty one; `name` keeps its addresses apart from those of others. */
export function createLedger(name: string): Ledger {
  let count = 0
  const [acknowledged, unknown]: [string[], string[]] = [[], []]
  const refusals = new Map<string, number>()
  return {
    acknowledged,
    unknown,
    refusals,
    async signUp(url) {
      count += 1
      const email = `${name}-${count}@example.com`
      const answer = await ask(url, SIGNUP, { variables: { ...KIM, email } }).catch(() => null)
      if (answer?.data?.signup) acknowledged.push(email)
      else {
        unknown.push(email)
        const code = String(answer?.code ?? 'none')
        refusals.set(code, (refusals.get(code) ?? 0) + 1)
      }
      return answer
    },
  }
}

/** What a login with the password of all says: `LoggedIn`, or the code. */
export async function loginOutcome(url: string, email: string): Promise<string> {
  const { data, code } = await ask(url, LOGIN, { variables: { ...KIM, email } })
  return data?.login?.__typename ?? String(code)
}

/** Keeps `count` clients signing up, one after the other each, until `stop`; `pick` chooses a server each time. */
export function keepSigningUp(ledger: Ledger, count: number, pick: () => string) {
  let going = true
  const clients = Array.from({ length: count }, async () => {
    while (going) if ((await ledger.signUp(pick())) === null) await Bun.sleep(5)
  })
  return {
    async stop() {
      going = false
      await Promise.all(clients)
    },
  }
}
