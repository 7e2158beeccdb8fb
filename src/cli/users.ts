// munjigi users … and munjigi sessions …: what an operator does for or against a user.

import { createReadStream } from 'node:fs'
import type { Core } from '../app.ts'
import { disable, remove, setPassword } from '../flows/administer.ts'
import type { Clock } from '../platform/clock.ts'
import { NotText } from '../platform/utf8.ts'
import type { User } from '../users/user.ts'
import type { UserImport } from './import-users.ts'
import { importUsers, sentenceOf } from './import-users.ts'
import { NotDone } from './not-done.ts'
import { moment, print, printList, table } from './output.ts'
import type { Actions, Output } from './program.ts'
import { readSecretLine } from './secret-input.ts'

type Commands = Pick<Actions, Extract<keyof Actions, 'sessionsEnd' | `users${string}`>>

/** The commands. `withCore` opens the services for one of them. */
export function userCommands(
  withCore: (use: (core: Core) => Promise<void>) => Promise<void>,
  clock: Clock,
): Commands {
  return {
    sessionsEnd: ({ user: name, json }) =>
      withUser(name, async (core, user) => {
        const sessions = await core.sessions.endAll(user.id, 'ended')
        await print(json, { sessions }, `ended ${sessions} session(s) of ${user.email}`)
      }),

    usersList: ({ after = '', limit, json }) =>
      withCore(async ({ users }) => {
        const pages = pagesOf(users, { after, limit })
        const headings = ['ID', 'E-MAIL', 'SIGNED UP', 'STATE']
        const { count, last } = await printList(json, { pages, headings, cellsOf: rowOf })
        if (!json && count === limit)
          console.error(`munjigi: there may be more: --after ${last?.id}`)
      }),

    usersImport: (file, { check, json }) =>
      // A check writes nothing and needs no database.
      check
        ? importFrom(file, { users: null, json })
        : withCore(({ users }) => importFrom(file, { users, json })),

    usersShow: (name, { json }) =>
      withUser(name, async ({ sessions }, user) => {
        const open = await sessions.list(user.id)
        const rows = open.map((s) => [
          s.id,
          moment(s.lastUsedAt),
          moment(s.expiresAt),
          s.clientAddress,
          s.client,
        ])
        const text = [
          table(['ID', 'E-MAIL', 'SIGNED UP', 'STATE'], [rowOf(user)]),
          '',
          table(['SESSION', 'LAST USED', 'EXPIRES', 'ADDRESS', 'CLIENT'], rows),
        ]
        await print(json, { ...user, sessions: open }, text.join('\n'))
      }),

    usersDisable: (name, { json }) =>
      withUser(name, async (core, user) => {
        const sessions = await disable(core, user)
        await print(
          json,
          { sessions },
          `${user.email} may no longer log in; ${sessions} session(s) ended`,
        )
      }),

    usersEnable: (name, { json }) =>
      withUser(name, async (core, user) => {
        await core.users.enable(user.id)
        await print(json, { enabled: true }, `${user.email} may log in again`)
      }),

    usersSetPassword: (name, { json }) =>
      withUser(name, async (core, user) => {
        const password = await readPassword(`New password for ${user.email}: `)
        const sessions = await setPassword(core, user, password)
        await print(
          json,
          { sessions },
          `${user.email} has a new password; ${sessions} session(s) ended`,
        )
      }),

    usersDelete: (name, { yes, json }) =>
      withUser(name, async (core, user) => {
        if (!yes) throw new NotDone(`this cannot be undone: add --yes to delete ${user.email}`)
        const sessions = await remove(core, user)
        await print(json, { sessions }, `deleted ${user.email}; ${sessions} session(s) ended`)
      }),
  }

  async function importFrom(
    file: string | undefined,
    { users, json }: Pick<UserImport, 'users'> & { json: Output['json'] | undefined },
  ): Promise<void> {
    if (file === undefined && process.stdin.isTTY)
      throw new NotDone('name a file, or send the lines to standard input')
    const counts = await importUsers({
      users,
      source: file === undefined ? Bun.stdin.stream() : createReadStream(file),
      now: clock.now(),
      tell: (sentence) => console.error(`munjigi: ${sentence}`),
    })
    await print(json, counts, sentenceOf(counts, users))
    if (counts.refused > 0) throw new NotDone(`${counts.refused} line(s) were refused`)
  }

  /** By e-mail address, or by the id, which is all that a line of the log says. */
  function withUser(name: string, use: (core: Core, user: User) => Promise<void>): Promise<void> {
    return withCore(async (core) => {
      const user = await core.users.find(name)
      if (!user) throw new NotDone(`there is no user ${JSON.stringify(name)}`)
      await use(core, user)
    })
  }
}

/** A server puts no more than ten megabytes into one answer. */
const PAGE = 2_000

async function* pagesOf(
  users: Core['users'],
  { after, limit }: { after: string; limit: number },
): AsyncGenerator<readonly User[]> {
  let [last, left] = [after, limit]
  for (let isFull = true; isFull && left > 0; ) {
    const wanted = Math.min(PAGE, left)
    const page = await users.list({ after: last, limit: wanted })
    if (page.length > 0 || left === limit) yield page
    last = page.at(-1)?.id ?? last
    left -= page.length
    isFull = page.length === wanted
  }
}

async function readPassword(prompt: string): Promise<string> {
  try {
    return await readSecretLine(prompt)
  } catch (error) {
    if (!(error instanceof NotText)) throw error
    throw new NotDone('the password is not text in UTF-8; nothing was changed')
  }
}

function rowOf({ id, email, createdAt, disabledAt }: User): string[] {
  return [
    id,
    email,
    moment(createdAt),
    disabledAt ? `disabled since ${moment(disabledAt)}` : 'active',
  ]
}
