// munjigi keys …: the signing keys, on the same database as the running replicas, which follow within seconds.

import type { Core } from '../app.ts'
import type { KeyRing } from '../keys/keys.ts'
import { NotDone } from './not-done.ts'
import { moment, print, table } from './output.ts'
import type { Actions } from './program.ts'

/** The commands. `withCore` opens the services for one of them, `withKeys` only the keys, of which some may be unreadable. */
export function keyCommands(
  withCore: (use: (core: Core) => Promise<void>) => Promise<void>,
  withKeys: (use: (keys: KeyRing) => Promise<void>) => Promise<void>,
): Pick<Actions, 'keysList' | 'keysRotate' | 'keysDrop'> {
  return {
    keysList: ({ json }) =>
      withKeys(async (keys) => {
        const [readable, unreadable] = [keys.list(), keys.unreadable()]
        const rows = readable.map(({ kid, algorithm, stage, createdAt, signsFrom }) => [
          kid,
          algorithm,
          stage,
          moment(createdAt),
          moment(signsFrom),
        ])
        await print(
          json,
          [...readable, ...unreadable.map((kid) => ({ kid, stage: UNREADABLE }))],
          table(
            ['KID', 'ALGORITHM', 'STAGE', 'PUBLISHED', 'SIGNS FROM'],
            [...rows, ...unreadable.map((kid) => [kid, '–', UNREADABLE, '–', '–'])],
          ),
        )
      }),

    keysRotate: ({ json }) =>
      withCore(async ({ keys }) => {
        const kid = await keys.rotate()
        if (kid === null)
          throw new NotDone('a key is already waiting to sign: see munjigi keys list')
        const signsFrom = keys.list().find((key) => key.kid === kid)?.signsFrom ?? new Date(0)
        await print(
          json,
          { kid, signsFrom },
          `published ${kid}; it signs from ${moment(signsFrom)}`,
        )
      }),

    keysDrop: (kid, { json }) =>
      withKeys(async (keys) => {
        if (!(await keys.drop(kid)))
          throw new NotDone(`there is no key ${kid}: see munjigi keys list`)
        const signing = keys.current().kid
        await print(
          json,
          { dropped: kid, signing },
          `dropped ${kid}, and every token it signed; ${signing} signs now`,
        )
      }),
  }
}

/** The stage of a key that is sealed under a secret that is not ours, or of an algorithm that we do not know. */
const UNREADABLE = 'unreadable'
