// The refresh token: its form, its ratchet, and everything that is not one.

import { describe, expect, test } from 'bun:test'
import { systemRandom } from '../platform/random.ts'
import { createRefreshTokens, secretHash } from './refresh-token.ts'
import { toSessionId } from './session.ts'

const SECRET = 'a secret of more than thirty-two bytes'
const OLDER = 'an older secret of more than thirty-two bytes'
const tokens = createRefreshTokens([SECRET], systemRandom)
const first = tokens.first(toSessionId('ses_01926f4e-7b1c-7000-8000-000000000001'))

test('what was written is read again', () => {
  const text = tokens.write(first)
  expect(text).toMatch(/^mjr_ses_[0-9a-f-]{36}\.0\.[\w-]{43}\.[\w-]{22}$/)
  expect(tokens.read(text)).toEqual({ ...first, secret: Buffer.from(first.secret) })
})

test('the successor follows from the parent, and from nothing the database has', () => {
  const [once] = tokens.successors(first)
  const [again] = tokens.successors(first)
  expect(tokens.write(once)).toBe(tokens.write(again))
  expect(once.generation).toBe(1)
  expect(secretHash(once)).not.toBe(secretHash(first))
  const [elsewhere] = createRefreshTokens([OLDER], systemRandom).successors(first)
  expect(secretHash(elsewhere)).not.toBe(secretHash(once))
})

test('one that a client keeps from before is read by every version, and followed by the same one', () => {
  const kept = tokens.read(
    'mjr_ses_1.0.BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc.rrElTuKTDbuQg_YhFSVnwA',
  )
  expect(kept).toEqual({
    sessionId: toSessionId('ses_1'),
    generation: 0,
    secret: Buffer.alloc(32, 7),
  })
  expect(kept && tokens.write(tokens.successors(kept)[0])).toBe(
    'mjr_ses_1.1.pFd9kioJjZZkrBAP4rgc7fFl72xtEWr1lSwGXgKoEfU.SgvmoPVeWNTMUu_wP7GpUQ',
  )
})

test('a hundred thousand first tokens are all different (ASVS 7.2.3)', () => {
  const secrets = new Set(
    Array.from({ length: 100_000 }, () =>
      Buffer.from(tokens.first(first.sessionId).secret).toString('hex'),
    ),
  )
  expect(secrets.size).toBe(100_000)
})

test('while the secret is being replaced, tokens under the older one work, and successors are tried under both', () => {
  const older = createRefreshTokens([OLDER], systemRandom)
  const both = createRefreshTokens([SECRET, OLDER], systemRandom)
  const text = older.write(first)
  expect(tokens.read(text)).toBeNull()
  expect(both.read(text)).toMatchObject({ generation: 0 })
  expect(both.successors(first).map(secretHash)).toEqual(
    [tokens, older].map((t) => secretHash(t.successors(first)[0])),
  )
})

describe('not a refresh token', () => {
  const text = tokens.write(first)
  const [id = '', generation = '', secret = '', mac = ''] = text.split('.')
  test.each([
    ['nothing', ''],
    ['garbage', 'garbage'],
    ['another prefix', text.replace('mjr_', 'mjx_')],
    ['another generation', `${id}.1.${secret}.${mac}`],
    ['a generation written otherwise', `${id}.00.${secret}.${mac}`],
    ['a negative generation', `${id}.-1.${secret}.${mac}`],
    ['another session', `${id.slice(0, -1)}2.${generation}.${secret}.${mac}`],
    ['another secret', `${id}.0.${'A'.repeat(43)}.${mac}`],
    ['another MAC', `${id}.0.${secret}.${'A'.repeat(22)}`],
    ['no MAC', `${id}.0.${secret}.`],
    ['a MAC cut short', text.slice(0, -1)],
    ['something behind it', `${text}A`],
    ['a line break behind it', `${text}\n`],
    [
      'stray bits in the last character',
      text.slice(0, -1) + String.fromCharCode(text.charCodeAt(text.length - 1) + 1),
    ],
    ['padding', `${text}==`],
    ['other letters', text.toUpperCase()],
    ['1 MB', `mjr_${'a'.repeat(1_000_000)}`],
    ['an access token', 'eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ1c3JfMSJ9.c2ln'],
  ])('%s', (_, wrong) => {
    expect(tokens.read(wrong)).toBeNull()
  })
})
