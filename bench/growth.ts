// Whether a database with a million users, a session each, and many keys is slower than one with a thousand and one key:
// `bun bench/growth.ts [USERS]`. A login whose hash costs next to nothing, so that hashing hides nothing, `me`, and each hot
// statement by itself; both databases in turn, in CPU time of this process, for other work on the machine must not count.
// Judged are the whole requests, against 1.1.

import { sql } from 'drizzle-orm'
import { openAlone } from '../e2e/database.ts'
import { LONGEST_LIFE } from '../src/config/values.ts'
import { openKeyRing, sealingKeysOf } from '../src/keys/keys.ts'
import type { PasswordHash } from '../src/passwords/hasher.ts'
import { systemRandom } from '../src/platform/random.ts'
import { toSessionId } from '../src/sessions/session.ts'
import {
  ending,
  opening,
  rotating,
  selectEnded,
  selectSession,
  selectSessions,
  withId,
} from '../src/sessions/store.ts'
import type { Database } from '../src/storage/database.ts'
import type { Statement } from '../src/storage/statement.ts'
import type { TestApp } from '../src/testing/app.ts'
import { CHEAP_HASH, createTestApp, KIM, LOGIN, ME, TEST_CONFIG } from '../src/testing/app.ts'
import type { TestClock } from '../src/testing/clock.ts'
import { createTestClock } from '../src/testing/clock.ts'
import { createAccessTokens } from '../src/tokens/access-token.ts'
import type { EmailKey } from '../src/users/email.ts'
import { insertingUser, selectUser, userOfEmail, userOfId } from '../src/users/store.ts'
import { toUserId } from '../src/users/user.ts'
import { createStage } from './stage.ts'
import { shuffle, spread } from './statistics.ts'

const SMALL = 1_000
const LIMIT = 1.1
const ROUNDS = 5
/** Operations a round: enough that the clock of CPU time is fine enough. */
const OPERATIONS = { me: 5_000, 'new me': 500, read: 2_000, write: 500, login: 200 } as const
/** Signing keys of the large database; one waits to sign in each. */
const MANY_KEYS = 16
/** Those that are not known are used once. */
const KNOWN = 100
const TOKENS = KNOWN + 1 + OPERATIONS['new me'] * (ROUNDS + 1)
const FAR = 4_000_000_000_000

const big = Number(process.argv[2] ?? 1_000_000)
await using stage = createStage()
const hash = (await Bun.password.hash(KIM.password, {
  algorithm: 'argon2id',
  memoryCost: CHEAP_HASH.memoryKib,
  timeCost: CHEAP_HASH.passes,
})) as PasswordHash

/** One database: so many users, each with a session, all with one password. */
interface Size {
  readonly users: number
  readonly database: Database
  readonly app: TestApp
  /** By all keys. */
  readonly tokens: readonly string[]
}

/** Something to do with a user or session chosen at random. */
interface Operation {
  readonly name: string
  readonly kind: keyof typeof OPERATIONS
  /** A whole request, as clients make it. */
  readonly judged?: true
  run(size: Size, n: number): Promise<unknown>
}

const sizes = [await fill(SMALL, 1), await fill(big, MANY_KEYS)] as const
let worst = 0
for (const operation of operations()) {
  const ratio = await compare(operation, sizes)
  if (operation.judged) worst = Math.max(worst, ratio)
}
for (const { database } of sizes) await database.close()
process.exitCode = worst <= LIMIT ? 0 : 1

async function fill(users: number, keys: number): Promise<Size> {
  const database = await openAlone(`file:${stage.path(`${users}.db`)}`)
  const id = (prefix: string) => sql.raw(`'${prefix}_' || printf('%08d', i)`)
  // In the order of ids, as our ids are in the order of time.
  for (let from = 0; from < users; from += 50_000) {
    const to = Math.min(users, from + 50_000)
    const numbers = sql`WITH RECURSIVE n(i) AS (SELECT CAST(${from} AS INTEGER) UNION ALL SELECT i + 1 FROM n WHERE i < ${to - 1})`
    await database.write((db) =>
      db.run(
        sql`${numbers} INSERT INTO users (id, email, email_key, password_hash, created_at)
          SELECT ${id('usr')}, i || '@example.com', i || '@example.com', ${hash}, i FROM n`,
      ),
    )
    await database.write((db) =>
      db.run(
        sql`${numbers} INSERT INTO sessions SELECT ${id('ses')}, ${id('usr')}, 0, 'secret', i, i, ${FAR}, ${FAR}, '192.0.2.1', 'bench' FROM n`,
      ),
    )
  }
  const clock = createTestClock()
  const tokens = await makeTokens(database, clock, { users, keys })
  const app = await createTestApp({ database, clock, config: { accessTokenTtl: LONGEST_LIFE } })
  return { users, database, app, tokens }
}

/** Makes the keys, and as many tokens with each. */
async function makeTokens(
  database: Database,
  clock: TestClock,
  { users, keys }: { users: number; keys: number },
): Promise<string[]> {
  const ring = await openKeyRing({
    ...{ database, clock, report: () => {}, rotation: 0, tokenLifetime: LONGEST_LIFE },
    ...{ algorithm: TEST_CONFIG.signingAlgorithm, jwksMaxAge: TEST_CONFIG.jwksMaxAge },
    sealingKeys: sealingKeysOf([TEST_CONFIG.secret]),
  })
  const { issue } = createAccessTokens({
    ...{ keys: ring, clock, random: systemRandom, ttl: LONGEST_LIFE },
    ...{ issuer: TEST_CONFIG.issuerUrl, audience: TEST_CONFIG.tokenAudience },
  })
  const all: string[] = []
  for (let key = 1; key <= keys; key += 1) {
    while (all.length < (key * TOKENS) / keys) {
      const n = all.length % users
      const email = `${n}@example.com`
      const ids = { userId: `usr_${pad(n)}`, sessionId: `ses_${pad(n)}` }
      all.push((await issue({ ...ids, email, sessionExpiresIn: LONGEST_LIFE })).accessToken)
    }
    await ring.rotate()
    // Until the new one signs.
    clock.advance('6m')
  }
  // Else the first uses would be of the oldest keys, the last of the newest.
  return shuffle(all)
}

function pad(n: number): string {
  return String(n).padStart(8, '0')
}

function operations(): Operation[] {
  const userId = (n: number) => toUserId(`usr_${pad(n)}`)
  const sessionId = (n: number) => toSessionId(`ses_${pad(n)}`)
  const now = Date.now()
  const generations = new Map<string, number>()
  let made = 0
  const read = (
    name: string,
    query: (db: Db, n: number) => Promise<unknown>,
    finds = true,
  ): Operation => ({
    ...{ name, kind: 'read' },
    async run({ database }, n) {
      const found = await database.read((db) => query(db, n))
      const rows = Array.isArray(found) ? found.length : Number(Boolean(found))
      if (rows > 0 !== finds) throw new Error(`${name}: ${rows} rows`)
    },
  })
  const commit = (name: string, statement: (n: number) => Statement): Operation => ({
    ...{ name, kind: 'write' },
    run: ({ database }, n) => database.commit([statement(n)]),
  })
  const next = (prefix: string) => {
    made += 1
    return `${prefix}_x${pad(made)}`
  }
  const session = (n: number) => ({
    ...{ id: toSessionId(next('ses')), userId: userId(n), generation: 0, secretHash: '' },
    ...{ createdAt: now, lastUsedAt: now, expiresAt: FAR, endsAt: FAR },
    ...{ clientAddress: '', client: '' },
  })
  const person = () => {
    const email = next('usr')
    const own = { id: toUserId(email), email, emailKey: email as EmailKey }
    return { ...own, passwordHash: hash, createdAt: now, disabledAt: null }
  }
  const me = async ({ app }: Size, token: string | undefined) => {
    const { data } = await app.run(ME, undefined, token)
    if (!data?.me) throw new Error('a token was refused')
  }
  const used = new Map<Size, number>()
  const unseen = (size: Size) => {
    used.set(size, (used.get(size) ?? KNOWN) + 1)
    return size.tokens[used.get(size) ?? 0]
  }
  return [
    read('the user of an e-mail', (db, n) =>
      selectUser(db, userOfEmail(`${n}@example.com` as EmailKey)),
    ),
    read(
      'an e-mail that nobody has',
      (db, n) => selectUser(db, userOfEmail(`${n}@x.example` as EmailKey)),
      false,
    ),
    read('the user of a token', (db, n) => selectUser(db, userOfId(userId(n)))),
    read('a session', (db, n) => selectSession(db, sessionId(n), now)),
    read("a user's sessions", (db, n) => selectSessions(db, userId(n), now)),
    {
      ...{ name: 'a refresh', kind: 'write' },
      async run({ users, database }, n) {
        const generation = generations.get(`${users} ${n}`) ?? 0
        generations.set(`${users} ${n}`, generation + 1)
        const secrets = { secretHash: 'secret', nextSecretHash: 'secret' }
        const rotation = { id: sessionId(n), generation, ...secrets, now, idleExpiresAt: FAR }
        const [{ rows }] = await database.commit([rotating(rotation)])
        if (rows.length !== 1) throw new Error('a refresh found nothing')
      },
    },
    commit('a new user', () => insertingUser(person())),
    commit('a new session', (n) => opening(session(n), hash)),
    {
      ...{ name: 'me, token seen before', kind: 'me', judged: true },
      run: (size, n) => me(size, size.tokens[n % KNOWN]),
    },
    {
      ...{ name: 'me, token not seen before', kind: 'new me', judged: true },
      run: (size) => me(size, unseen(size)),
    },
    // Of one that is there: with a thousand sessions there would soon be none left to end.
    {
      ...{ name: 'a session, opened and ended', kind: 'write' },
      async run({ database }, n) {
        const row = session(n)
        const which = withId(row.id)
        await database.commit([opening(row, hash)])
        await database.commit(ending({ which, reason: 'ended', now }))
      },
    },
    read('what ended lately', (db) => selectEnded(db, { sequence: 0, since: now - 1, limit: 10 })),
    {
      ...{ name: 'a login, whole', kind: 'login', judged: true },
      async run({ app }, n) {
        const { data, code } = await app.run(LOGIN, { ...KIM, email: `${n}@example.com` })
        if (!data?.login) throw new Error(`a login was refused: ${code}`)
      },
    },
  ]
}

type Db = Parameters<Parameters<Database['read']>[0]>[0]

/** Prints a line, and gives the ratio. */
async function compare(operation: Operation, sizes: readonly [Size, Size]): Promise<number> {
  const rounds: [number, number][] = []
  for (const size of sizes) await cpuOf(operation, size)
  for (let round = 0; round < ROUNDS; round += 1)
    rounds.push([await cpuOf(operation, sizes[0]), await cpuOf(operation, sizes[1])])
  const [small, large] = [0, 1].map((i) => spread(rounds.map((round) => round[i]))?.median ?? 0)
  const ratio = spread(rounds.map(([one, other]) => other / one))?.median ?? Number.NaN
  console.log(
    `${operation.name.padEnd(28)} ${small?.toFixed(0).padStart(6)} µs ${large?.toFixed(0).padStart(6)} µs   × ${ratio.toFixed(2)}`,
  )
  return ratio
}

/** Microseconds of CPU for one operation. */
async function cpuOf({ kind, run }: Operation, size: Size): Promise<number> {
  const count = OPERATIONS[kind]
  Bun.gc(true)
  const before = process.cpuUsage()
  for (let i = 0; i < count; i += 1) await run(size, Math.floor(Math.random() * size.users))
  const { user, system } = process.cpuUsage(before)
  return (user + system) / count
}
