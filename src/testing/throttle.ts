// A throttle that lets everything pass, for what is tested without clients.

import type { Attempt, Throttle } from '../throttle/throttle.ts'

/** An attempt that costs nothing and finds nobody. */
export const FREE_ATTEMPT: Attempt = {
  recall: () => {},
  charge: () => Promise.resolve([]),
  succeed: () => () => [],
  withdraw: () => Promise.resolve(),
}

/** Every attempt is free. */
export const FREE_THROTTLE: Throttle = {
  password: () => FREE_ATTEMPT,
  reauthentication: () => FREE_ATTEMPT,
  signup: () => FREE_ATTEMPT,
  charge: () => Promise.resolve(),
  forgetting: () => () => [],
  sweep: () => Promise.resolve(),
}
