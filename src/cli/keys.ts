// munjigi keys …: the signing keys, on the same database as the running replicas, which follow within seconds.

import type { Core } from '../app.ts'
import { moment, print, table } from './output.ts'
import type { Actions } from './program.ts'
import { NothingFound } from './with-core.ts'

/** The commands, over whoever opens the services for them. */
export function keyCommands(
  withCore: (use: (core: Core) => Promise<void>) => Promise<void>,
): Pick<Actions, 'keysList' | 'keysRotate' | 'keysDrop'> {
  return {
    keysList: ({ json }) =>
      withCore(async ({ keys }) => {
        const rows = keys
          .list()
          .map(({ kid, algorithm, stage, createdAt, signsFrom }) => [
            kid,
            algorithm,
            stage,
            moment(createdAt),
            moment(signsFrom),
          ])
        print(
          json,
          keys.list(),
          table(['KID', 'ALGORITHM', 'STAGE', 'PUBLISHED', 'SIGNS FROM'], rows),
        )
      }),

    keysRotate: ({ json }) =>
      withCore(async ({ keys }) => {
        const kid = await keys.rotate()
        if (kid === null)
          throw new NothingFound('a key is already waiting to sign: see munjigi keys list')
        const signsFrom = keys.list().find((key) => key.kid === kid)?.signsFrom ?? new Date(0)
        print(json, { kid, signsFrom }, `published ${kid}; it signs from ${moment(signsFrom)}`)
      }),

    keysDrop: (kid, { json }) =>
      withCore(async ({ keys }) => {
        if (!(await keys.drop(kid)))
          throw new NothingFound(`there is no key ${kid}: see munjigi keys list`)
        const signing = keys.current().kid
        print(
          json,
          { dropped: kid, signing },
          `dropped ${kid}, and every token it signed; ${signing} signs now`,
        )
      }),
  }
}
