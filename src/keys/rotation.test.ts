// Rotation of the signing keys: published, signing, retired, each in its time, on every replica, with nothing refused.

import { describe, expect, test } from 'bun:test'
import type { SecurityEvent } from '../observability/events.ts'
import { StorageFault } from '../storage/faults.ts'
import type { TestApp } from '../testing/app.ts'
import { createTestApp } from '../testing/app.ts'
import { createTestRandom } from '../testing/random.ts'
import { createAccessTokens } from '../tokens/access-token.ts'
import type { KeyRing, KeyRingOptions } from './keys.ts'
import { openKeyRing, sealingKeysOf, WrongSecret } from './keys.ts'
import { keyRoutes } from './routes.ts'
import { seal } from './seal.ts'
import { generateSigningKey } from './signing-key.ts'
import { signingKeys } from './table.ts'

const SECRET = 'a secret of more than thirty-two bytes'
const OTHER = 'another secret of more than thirty-two bytes'
const SUBJECT = {
  userId: 'usr_1',
  email: 'kim@example.com',
  sessionId: 'ses_1',
  sessionExpiresIn: 2_592_000,
}

/** Rings are replicas: they share a database and a clock. */
async function setUp(over: Partial<KeyRingOptions> = {}) {
  const app = await createTestApp()
  await app.database.write((db) => db.run('DELETE FROM signing_keys'))
  const events: SecurityEvent[] = []
  const open = (options: Partial<KeyRingOptions> = {}) =>
    openKeyRing({
      database: app.database,
      clock: app.clock,
      report: (event) => events.push(event),
      sealingKeys: sealingKeysOf([SECRET]),
      algorithm: 'ES256',
      jwksMaxAge: 300,
      tokenLifetime: 605,
      rotation: 86_400,
      ...over,
      ...options,
    })
  return { app, events, open }
}

function tokensOf(app: TestApp, keys: KeyRing) {
  return createAccessTokens({
    keys,
    clock: app.clock,
    random: createTestRandom(),
    issuer: 'https://i',
    audience: 'a',
    ttl: 600,
  })
}

const tenMinutesAhead = ({ clock }: TestApp) => ({ ...clock, now: () => clock.now() + 600_000 })

const stages = (keys: KeyRing) => keys.list().map(({ stage }) => stage)

describe('a key', () => {
  test('that is old enough is replaced: first published, then signing, then the old one retires', async () => {
    const { app, open, events } = await setUp()
    const keys = await open()
    const first = keys.current().kid
    app.clock.advance('23h')
    await keys.tend()
    expect(stages(keys)).toEqual(['signing'])
    app.clock.advance('1h')
    await keys.tend()
    expect(stages(keys)).toEqual(['published', 'signing'])
    expect(keys.jwks().keys).toHaveLength(2)
    app.clock.advance('314s')
    expect(keys.current().kid).toBe(first)
    app.clock.advance('1s')
    expect(keys.current().kid).not.toBe(first)
    expect(stages(keys)).toEqual(['signing', 'retiring'])
    app.clock.advance('904s')
    await keys.tend()
    expect(stages(keys)).toEqual(['signing', 'retiring'])
    app.clock.advance('1s')
    await keys.tend()
    expect(stages(keys)).toEqual(['signing'])
    expect(keys.find(first)).toBeNull()
    expect(
      events.map((event) => (event.type === 'key.rotated' ? event.stage : event.type)),
    ).toEqual(['published', 'retired'])
  })

  test('is never replaced by itself when rotation is off', async () => {
    const { app, open } = await setUp({ rotation: 0 })
    const keys = await open()
    app.clock.advance('3650d')
    await keys.tend()
    expect(stages(keys)).toEqual(['signing'])
  })

  test('is replaced by one replica, however many try', async () => {
    const { app, open, events } = await setUp()
    const replicas = await Promise.all(Array.from({ length: 10 }, () => open()))
    expect(new Set(replicas.map((keys) => keys.current().kid)).size).toBe(1)
    app.clock.advance('25h')
    await Promise.all(replicas.map((keys) => keys.tend()))
    await Promise.all(replicas.map((keys) => keys.tend()))
    expect(new Set(replicas.map((keys) => JSON.stringify(keys.jwks()))).size).toBe(1)
    expect(replicas[0]?.jwks().keys).toHaveLength(2)
    expect(events).toHaveLength(1)
  })

  test('is replaced by command, but not while another is waiting to sign', async () => {
    const { app, open } = await setUp({ rotation: 0 })
    const keys = await open()
    const next = await keys.rotate()
    expect(next).not.toBeNull()
    expect(await keys.rotate()).toBeNull()
    app.clock.advance('315s')
    expect(keys.current().kid).toBe(next ?? '')
    expect(await keys.rotate()).not.toBeNull()
  })

  test('that is dropped is gone at once, with the tokens it signed, and another signs', async () => {
    const { app, open } = await setUp()
    const [here, there] = [await open(), await open()]
    const { kid } = here.current()
    const { accessToken } = await tokensOf(app, here).issue(SUBJECT)
    expect(await here.drop(kid)).toBe(true)
    expect(await here.drop(kid)).toBe(false)
    expect(here.current().kid).not.toBe(kid)
    expect(await tokensOf(app, here).verify(accessToken)).toBeNull()
    await there.tend()
    expect(await tokensOf(app, there).verify(accessToken)).toBeNull()
    expect(there.current().kid).toBe(here.current().kid)
  })

  test('that is dropped before it signs, or after, leaves the one that signs, for others have no newer one', async () => {
    const { app, open } = await setUp({ rotation: 0 })
    const keys = await open()
    const first = keys.current().kid
    const next = (await keys.rotate()) ?? ''
    expect(await keys.drop(next)).toBe(true)
    expect(keys.list().map(({ kid }) => kid)).toEqual([first])
    const second = (await keys.rotate()) ?? ''
    app.clock.advance('315s')
    expect(await keys.drop(first)).toBe(true)
    expect(keys.list().map(({ kid }) => kid)).toEqual([second])
    expect(keys.current().kid).toBe(second)
  })

  test('of two is never dropped with the other one: each operator counts on a key that signs', async () => {
    const { app, open } = await setUp({ rotation: 0 })
    const here = await open()
    const first = here.current().kid
    const next = (await here.rotate()) ?? ''
    const ahead = await open({ clock: tenMinutesAhead(app) })
    expect([here.current().kid, ahead.current().kid]).toEqual([first, next])
    expect([await here.drop(next), await ahead.drop(first)]).toEqual([true, true])
    const left = await app.database.read((db) => db.select().from(signingKeys))
    expect(left).toHaveLength(1)
    expect([first, next]).not.toContain(left[0]?.kid ?? '')
  })

  test('is not dropped for one that has yet to sign: with no other, a new one signs at once', async () => {
    const { app, open } = await setUp({ rotation: 0 })
    const here = await open()
    const first = here.current().kid
    const next = (await here.rotate()) ?? ''
    const ahead = await open({ clock: tenMinutesAhead(app) })
    const third = (await ahead.rotate()) ?? ''
    expect([await here.drop(next), await ahead.drop(first)]).toEqual([true, true])
    expect(ahead.list().map(({ kid }) => kid)).toEqual([third, ahead.current().kid])
    expect(stages(ahead)).toEqual(['published', 'signing'])
  })

  test('that is dropped is also gone on a replica that has a new one to make and cannot write', async () => {
    const { app, open } = await setUp()
    const keys = await open()
    const { kid } = keys.current()
    await keys.rotate()
    const readOnly = new StorageFault('other', 'SQLITE_READONLY')
    const unwritable = await open({
      database: { ...app.database, write: () => Promise.reject(readOnly) },
    })
    app.clock.advance('25h')
    await keys.drop(kid)
    await unwritable.tend()
    expect(unwritable.find(kid)).toBeNull()
  })

  test('that cannot be made makes `tend` throw: that is no fault of the database', async () => {
    const { open } = await setUp()
    await open()
    const keys = await open({ algorithm: 'HS256' as never })
    await expect(keys.tend()).rejects.toThrow('Unrecognized algorithm')
    expect(stages(keys)).toEqual(['signing'])
  })

  test('of another algorithm signs only once everybody can know it; until then the old one does', async () => {
    const { app, open } = await setUp()
    const old = await open()
    const keys = await open({ algorithm: 'EdDSA' })
    await keys.tend()
    expect(keys.current().algorithm).toBe('ES256')
    await old.tend()
    app.clock.advance('315s')
    expect(keys.current().algorithm).toBe('EdDSA')
    const { accessToken } = await tokensOf(app, keys).issue(SUBJECT)
    expect(await tokensOf(app, old).verify(accessToken)).not.toBeNull()
  })

  test('that signs does not retire for a newer one of another algorithm', async () => {
    const { app, open } = await setUp({ rotation: 0 })
    const keys = await open()
    const { kid } = keys.current()
    await (await open({ algorithm: 'EdDSA' })).tend()
    app.clock.advance('1d')
    await keys.tend()
    expect(keys.current().kid).toBe(kid)
    expect(stages(keys)).toEqual(['retiring', 'signing'])
  })

  test('that was made by a replica whose clock is ahead of ours signs here too', async () => {
    const { app, open } = await setUp()
    const ahead = await open({ clock: tenMinutesAhead(app) })
    expect((await open()).current().kid).toBe(ahead.current().kid)
  })

  test('that was made by who has a clock minutes ahead is the only one, here too', async () => {
    const { app, open, events } = await setUp()
    const ahead = await open({ clock: tenMinutesAhead(app) })
    const here = await open()
    for (let minute = 0; minute < 30; minute += 1) {
      app.clock.advance('1m')
      await here.tend()
      await ahead.tend()
    }
    expect([stages(here), events]).toEqual([['signing'], []])
  })

  test('signs nowhere before others can know it, though the clock of who published it is five seconds behind', async () => {
    const { app, open } = await setUp({ rotation: 0, jwksMaxAge: 10 })
    const here = await open()
    const first = here.current().kid
    const clock = { ...app.clock, now: () => app.clock.now() - 5_000 }
    app.clock.advance('1m')
    const next = await (await open({ clock })).rotate()
    // The longest pause between two looks: until then others may have got a list without it, and keep that for ten seconds.
    app.clock.advance('1.2s')
    await here.tend()
    app.clock.advance('10s')
    expect(here.current().kid).toBe(first)
    app.clock.advance('1s')
    expect(here.current().kid).toBe(next ?? '')
  })

  test('is not published twice where the clocks of two that change the algorithm are minutes apart', async () => {
    const { app, open } = await setUp()
    await open()
    app.clock.advance('1h')
    await (await open({ algorithm: 'EdDSA' })).tend()
    const behind = await open({
      algorithm: 'EdDSA',
      clock: { ...app.clock, now: () => app.clock.now() - 240_000 },
    })
    await behind.tend()
    expect(stages(behind)).toEqual(['published', 'signing'])
  })

  test('is not published twice where the clocks of two operators who rotate are minutes apart', async () => {
    const { app, open } = await setUp()
    const here = await open()
    const ahead = await open({ clock: tenMinutesAhead(app) })
    expect(await ahead.rotate()).not.toBeNull()
    expect(await here.rotate()).toBeNull()
    expect(stages(here)).toEqual(['published', 'signing'])
  })

  test('that a clock years ahead of ours has dated keeps no other from following', async () => {
    const { app, open } = await setUp()
    const keys = await open()
    const { kid } = keys.current()
    const ahead = await open({
      clock: { ...app.clock, now: () => app.clock.now() + 10 * 365 * 86_400_000 },
    })
    const dated = await ahead.rotate()
    app.clock.advance('1d')
    await keys.tend()
    const next = keys.list().find((key) => ![kid, dated].includes(key.kid))
    app.clock.advance('6m')
    expect([keys.current().kid, stages(keys)]).toEqual([
      String(next?.kid),
      ['published', 'signing', 'retiring'],
    ])
  })

  test('that two operators drop at once is replaced by one new key', async () => {
    const { app, open } = await setUp()
    const [here, there] = [await open(), await open()]
    const { kid } = here.current()
    const dropped = await Promise.all([here.drop(kid), there.drop(kid)])
    expect(dropped.sort()).toEqual([false, true])
    expect(await app.database.read((db) => db.$count(signingKeys))).toBe(1)
  })
})

test('through ten rotations every token verifies on every replica until it expires, and its key is in every JWKS', async () => {
  const { app, open } = await setUp({ jwksMaxAge: 2, tokenLifetime: 15, rotation: 30 })
  const replicas = await Promise.all([open(), open(), open()])
  const services = replicas.map((keys) =>
    createAccessTokens({
      keys,
      clock: app.clock,
      random: createTestRandom(),
      issuer: 'https://i',
      audience: 'a',
      ttl: 10,
    }),
  )
  const live: Array<{ token: string; until: number }> = []
  const kids = new Set<string>()
  for (let second = 0; second < 400; second += 1) {
    const turn = second % 3
    const { accessToken } = (await services[turn]?.issue(SUBJECT)) ?? { accessToken: '' }
    live.push({ token: accessToken, until: app.clock.now() + 10_000 })
    kids.add(replicas[turn]?.current().kid ?? '')
    for (const { token, until } of live.filter((entry) => entry.until > app.clock.now())) {
      const kid = JSON.parse(Buffer.from(token.split('.')[0] ?? '', 'base64url').toString()).kid
      for (const [i, service] of services.entries()) {
        if (until <= app.clock.now()) continue
        expect(replicas[i]?.jwks().keys.map((key) => key.kid)).toContain(kid)
        if (second % 10 === 0) expect(await service.verify(token)).not.toBeNull()
      }
    }
    app.clock.advance('1s')
    await replicas[(second + 1) % 3]?.tend()
  }
  expect(kids.size).toBeGreaterThanOrEqual(10)
})

describe('a key that a replica which runs cannot read', () => {
  const ROWS = [
    ['is sealed under another secret', OTHER, 'ES256'],
    ['is of an algorithm that a later version knows', SECRET, 'ES384'],
    ['is said to be of another algorithm', SECRET, 'EdDSA'],
  ] as const

  test.each(ROWS)(
    'because it %s is told of once, and stops no other',
    async (_, secret, algorithm) => {
      const { app, open } = await setUp()
      const events: SecurityEvent[] = []
      const keys = await open({ report: (event) => events.push(event) })
      const other = await open()
      const { kid, privateJwk } = await generateSigningKey('ES256')
      const sealedPrivateJwk = seal(JSON.stringify(privateJwk), sealingKeysOf([secret])[0], kid)
      const row = { kid, algorithm, sealedPrivateJwk, createdAt: 0, signsFrom: 0 }
      await app.database.write((db) => db.insert(signingKeys).values(row))
      await keys.tend()
      const published = await other.rotate()
      await keys.tend()
      await keys.tend()
      expect(keys.list().map((key) => key.kid)).toContain(published ?? '')
      expect(keys.find(kid)).toBeNull()
      expect(events).toEqual([{ type: 'key.refused', kid }])
    },
  )

  test('is read once it is sealed under a secret of its own', async () => {
    const { open } = await setUp()
    const events: SecurityEvent[] = []
    const keys = await open({ report: (event) => events.push(event) })
    const ahead = await open({ sealingKeys: sealingKeysOf([OTHER, SECRET]) })
    const kid = (await ahead.rotate()) ?? ''
    await keys.tend()
    expect(keys.find(kid)).toBeNull()
    await open({ sealingKeys: sealingKeysOf([SECRET, OTHER]) })
    await keys.tend()
    expect(keys.find(kid)).not.toBeNull()
    expect(events).toEqual([{ type: 'key.refused', kid }])
  })
})

test('a replica that runs keeps its keys where a database has lost all of them', async () => {
  const { app, open } = await setUp()
  const keys = await open()
  const { kid } = keys.current()
  await app.database.write((db) => db.run('DELETE FROM signing_keys'))
  await keys.tend()
  expect(keys.current().kid).toBe(kid)
})

describe('a key that does not open beside one that does', () => {
  /** A row as another installation would have it. */
  async function plant({ app }: Awaited<ReturnType<typeof setUp>>, signsFrom = 0): Promise<string> {
    const { kid, privateJwk } = await generateSigningKey('ES256')
    const sealedPrivateJwk = seal(JSON.stringify(privateJwk), sealingKeysOf([OTHER])[0], kid)
    const row = { kid, algorithm: 'ES256', sealedPrivateJwk, createdAt: 0, signsFrom }
    await app.database.write((db) => db.insert(signingKeys).values(row))
    return kid
  }

  test('stops a start, but not the commands that list and drop it', async () => {
    const setting = await setUp()
    const { open, events } = setting
    const before = (await open()).current().kid
    const kid = await plant(setting)
    await expect(open()).rejects.toBeInstanceOf(WrongSecret)
    const keys = await open({ leaveUnreadable: true })
    expect([keys.unreadable(), keys.find(kid)]).toEqual([[kid], null])
    expect(keys.list().map((key) => key.kid)).toEqual([before])
    expect(await keys.drop(kid)).toBe(true)
    expect(keys.unreadable()).toEqual([])
    expect(await keys.drop(kid)).toBe(false)
    expect(events).toEqual([{ type: 'key.rotated', stage: 'dropped', kid }])
    // No new key was made in its place: nobody would know that one yet.
    expect((await open()).list().map((key) => key.kid)).toEqual([before])
  })

  test('and has replaced all others leaves none to sign or to check with', async () => {
    const { app, open } = await setUp({ rotation: 0 })
    const keys = await open()
    const { kid } = keys.current()
    const ahead = await open({ sealingKeys: sealingKeysOf([OTHER, SECRET]) })
    expect(await ahead.drop(kid)).toBe(true)
    app.clock.advance('1s')
    await keys.tend()
    expect([keys.ready(), keys.find(kid), keys.jwks().keys]).toEqual([false, null, []])
    expect(() => keys.current()).toThrow('SERVICE_UNAVAILABLE')
    // Nor to show: an empty list would be kept by whoever asked.
    const routes = keyRoutes(keys, 300).onError(({ message }) => new Response(message))
    const shown = await routes.request('/.well-known/jwks.json')
    expect(await shown.text()).toBe('SERVICE_UNAVAILABLE')
    // Nor has it published one of its own, under the secret that was to be replaced.
    await ahead.tend()
    expect([ahead.unreadable(), ahead.list().length]).toEqual([[], 1])
    await open({ sealingKeys: sealingKeysOf([SECRET, OTHER]) })
    await keys.tend()
    expect(keys.current().kid).toBe(ahead.current().kid)
  })

  test('is not left out where none opens', async () => {
    const setting = await setUp()
    await plant(setting)
    await expect(setting.open({ leaveUnreadable: true })).rejects.toBeInstanceOf(WrongSecret)
  })

  test('must be dropped before the key that signs can be', async () => {
    const setting = await setUp()
    const { kid } = (await setting.open()).current()
    await plant(setting)
    const keys = await setting.open({ leaveUnreadable: true })
    expect(await keys.drop('nobody-knows')).toBe(false)
    await expect(keys.drop(kid)).rejects.toBeInstanceOf(WrongSecret)
    expect(keys.find(kid)).not.toBeNull()
  })

  test('takes over from no key, however old it claims to be', async () => {
    const setting = await setUp({ rotation: 0 })
    const { app, open } = setting
    const keys = await open()
    const next = (await keys.rotate()) ?? ''
    app.clock.advance('316s')
    const foreign = await plant(setting, app.clock.now())
    app.clock.advance('905s')
    await keys.tend()
    const left = await app.database.read((db) => db.select().from(signingKeys))
    expect(left.map(({ kid }) => kid).sort()).toEqual([next, foreign].sort())
  })
})

describe('the secret', () => {
  test('that is not the one of the keys opens nothing', async () => {
    const { open } = await setUp()
    await open()
    await expect(open({ sealingKeys: sealingKeysOf([OTHER]) })).rejects.toBeInstanceOf(WrongSecret)
  })

  test('is replaced in two steps, with no replica shut out in between', async () => {
    const { app, open } = await setUp()
    const { kid } = (await open()).current()
    // First every replica accepts both, then every replica changes over, then the old one is forgotten.
    for (const secrets of [
      [SECRET, OTHER],
      [OTHER, SECRET],
      [SECRET, OTHER],
      [OTHER, SECRET],
      [OTHER],
    ] as Array<[string, ...string[]]>) {
      const keys = await open({ sealingKeys: sealingKeysOf(secrets) })
      expect(keys.current().kid).toBe(kid)
      expect(
        await tokensOf(app, keys).verify((await tokensOf(app, keys).issue(SUBJECT)).accessToken),
      ).not.toBeNull()
    }
    await expect(open({ sealingKeys: sealingKeysOf([SECRET]) })).rejects.toBeInstanceOf(WrongSecret)
  })

  test('that was replaced elsewhere does not disturb a replica that runs', async () => {
    const { open } = await setUp()
    const keys = await open()
    await open({ sealingKeys: sealingKeysOf([OTHER, SECRET]) })
    await keys.tend()
    expect(stages(keys)).toEqual(['signing'])
  })
})
