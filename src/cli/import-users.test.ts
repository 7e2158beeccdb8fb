// Importing users: batches and lines, what is there already, what cannot be understood, two imports at once.

import { describe, expect, test } from 'bun:test'
import { createBunHasher } from '../passwords/hasher.ts'
import { createPasswords } from '../passwords/passwords.ts'
import type { TestApp } from '../testing/app.ts'
import { CHEAP_HASH, createTestApp, KIM, LOGIN, SIGNUP } from '../testing/app.ts'
import { FREE_THROTTLE } from '../testing/throttle.ts'
import { createUsers } from '../users/users.ts'
import { importUsers } from './import-users.ts'
import { linesOf } from './lines.ts'

const BCRYPT = await Bun.password.hash(KIM.password, { algorithm: 'bcrypt', cost: 4 })
const lineOf = (email: string, over: object = {}) =>
  JSON.stringify({ email, passwordHash: BCRYPT, ...over })
const crowd = (count: number) =>
  Array.from({ length: count }, (_, at) => lineOf(`u${at}@example.com`))

async function* bytes(text: string, size = 1_000): AsyncGenerator<Uint8Array> {
  const all = Buffer.from(text)
  for (let at = 0; at < all.length; at += size) yield all.subarray(at, at + size)
}

async function run(app: TestApp, text: string, check = false) {
  const told: string[] = []
  const users = createUsers({
    ...app,
    throttle: FREE_THROTTLE,
    passwords: createPasswords({
      ...app,
      hasher: createBunHasher(CHEAP_HASH),
      limits: { running: 1, waiting: 1, patience: 1 },
      report: () => {},
    }),
  })
  const now = app.clock.now()
  const tell = (sentence: string) => told.push(sentence)
  const source = bytes(text)
  return { counts: await importUsers({ users: check ? null : users, source, now, tell }), told }
}

const count = async (app: TestApp) =>
  (await app.database.read((db) => db.get<{ n: number }>('SELECT count(*) AS n FROM users'))).n

describe('an import', () => {
  test('takes over every line, whatever the batches, and the imported users can log in', async () => {
    const app = await createTestApp()
    const { counts, told } = await run(app, crowd(401).join('\n'))
    expect([counts, told]).toEqual([{ imported: 401, present: 0, refused: 0 }, []])
    for (const email of ['u0@example.com', 'U400@Example.com'])
      expect((await app.run(LOGIN, { ...KIM, email })).data.login.__typename).toBe('LoggedIn')
  })

  test('leaves existing users alone, and can be run again', async () => {
    const app = await createTestApp()
    await app.run(SIGNUP, { email: 'U1@example.com', password: 'another horse, another battery' })
    const text = [...crowd(3), lineOf('U2@EXAMPLE.com')].join('\n')
    expect((await run(app, text)).counts).toEqual({ imported: 2, present: 2, refused: 0 })
    expect((await run(app, text)).counts).toEqual({ imported: 0, present: 4, refused: 0 })
    expect((await app.run(LOGIN, { ...KIM, email: 'u1@example.com' })).code).toBe(
      'INVALID_CREDENTIALS',
    )
    expect(await count(app)).toBe(3)
  })

  test('tells of lines that it cannot understand, by number, and takes the others', async () => {
    const app = await createTestApp()
    const lines = [
      lineOf('a@example.com'),
      '',
      'nonsense',
      lineOf('x'.repeat(5_000)),
      lineOf('b@example.com', { passwordHash: 'hunter2hunter2' }),
      lineOf('c@example.com'),
    ]
    const { counts, told } = await run(app, lines.join('\r\n'))
    expect(counts).toEqual({ imported: 2, present: 0, refused: 3 })
    expect(told.map((sentence) => sentence.slice(0, 20))).toEqual([
      'line 3: not a JSON o',
      'line 4: too long',
      'line 5: passwordHash',
    ])
    expect(told.join()).not.toMatch(/hunter2|example|nonsense/)
  })

  test('writes a few hundred users at a time, so that other writers have their turn', async () => {
    const sizes: number[] = []
    const importAll = async ({ length }: { readonly length: number }) => {
      sizes.push(length)
      return length
    }
    const source = bytes(crowd(1_001).join('\n'))
    await importUsers({ users: { importAll }, source, now: 0, tell: () => {} })
    expect(sizes).toEqual([200, 200, 200, 200, 200, 1])
  })

  test('that only checks writes nothing', async () => {
    const app = await createTestApp()
    const { counts } = await run(app, [...crowd(3), '{}'].join('\n'), true)
    expect(counts).toEqual({ imported: 3, present: 0, refused: 1 })
    expect(await count(app)).toBe(0)
  })

  test('keeps users out whom the other system had disabled, and keeps the time of the signup', async () => {
    const app = await createTestApp()
    await run(app, lineOf(KIM.email, { disabled: true, createdAt: '2020-01-02T03:04:05Z' }))
    expect((await app.run(LOGIN, KIM)).code).toBe('INVALID_CREDENTIALS')
    const row = await app.database.read((db) =>
      db.get<{ created_at: number }>('SELECT created_at FROM users'),
    )
    expect(row.created_at).toBe(Date.UTC(2020, 0, 2, 3, 4, 5))
  })

  test('run twice at the same time makes every user once', async () => {
    const app = await createTestApp()
    const text = crowd(500).join('\n')
    const both = await Promise.all([run(app, text), run(app, text)])
    expect(both.reduce((sum, { counts }) => sum + counts.imported, 0)).toBe(500)
    expect(both.reduce((sum, { counts }) => sum + counts.present, 0)).toBe(500)
    expect(await count(app)).toBe(500)
  })

  test('says every 10,000 lines how far it is', async () => {
    const app = await createTestApp()
    const { told } = await run(app, '\n'.repeat(20_001))
    expect(told).toEqual(
      [10_000, 20_000].map((n) => `${n} lines read, 0 imported, 0 present, 0 refused`),
    )
  })
})

test.each([1, 2, 3, 7, 100])('lines are the same in pieces of %d bytes', async (size) => {
  const text = `한\n\nab\r\n${'x'.repeat(11)}\n${'y'.repeat(10)}\nend\n${'z'.repeat(11)}`
  const lines: Array<string | null> = []
  for await (const line of linesOf(bytes(text, size), 10)) lines.push(line)
  expect(lines).toEqual(['한', '', 'ab\r', null, 'y'.repeat(10), 'end', null])
})
