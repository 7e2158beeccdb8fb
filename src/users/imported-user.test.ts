// What a line of an import must be, and that nothing of it is repeated when it is not.

import { describe, expect, test } from 'bun:test'
import { readImportedUser } from './imported-user.ts'

const NOW = Date.UTC(2026, 0, 1)
const HASH = '$2b$04$eU9xfD.ki4bo2VFTPVBv/utU1sQQS.xE.iUD7VQLHd2NZ4ZJDMpLq'
const line = (over: object = {}) =>
  JSON.stringify({ email: 'Kim@example.com', passwordHash: HASH, ...over })

test('an address and a hash are enough', () => {
  expect(readImportedUser(line(), NOW)).toEqual({
    user: {
      email: { address: 'Kim@example.com', key: 'kim@example.com' as never },
      passwordHash: HASH as never,
      createdAt: null,
      disabled: false,
    },
  })
})

test('the time of the signup and whether the user is disabled are taken over', () => {
  const read = readImportedUser(
    line({ createdAt: '2020-01-02T03:04:05.6+09:00', disabled: true }),
    NOW,
  )
  expect(read).toMatchObject({
    user: { createdAt: Date.UTC(2020, 0, 1, 18, 4, 5, 600), disabled: true },
  })
})

describe('a line is refused for', () => {
  test.each<[string, string, string]>([
    ['text', 'kim@example.com', 'not a JSON object'],
    ['a list', '["kim@example.com"]', 'not a JSON object'],
    ['null', 'null', 'not a JSON object'],
    ['half an object', line().slice(0, -1), 'not a JSON object'],
    ['a misspelt property', line({ dissabled: true }), 'has a property'],
    ['no e-mail', line({ email: undefined }), 'email is malformed'],
    ['an e-mail that is a list', line({ email: ['kim@example.com'] }), 'email is malformed'],
    ['an e-mail with a line break', line({ email: 'kim@example.com\n' }), 'email is malformed'],
    ['an e-mail of 300', line({ email: `${'k'.repeat(300)}@example.com` }), 'email is too long'],
    ['no hash', line({ passwordHash: undefined }), 'passwordHash is of no kind'],
    [
      'a password for a hash',
      line({ passwordHash: 'hunter2hunter2' }),
      'passwordHash is of no kind',
    ],
    [
      'a hash of cost 31',
      line({ passwordHash: HASH.replace('$04$', '$31$') }),
      'passwordHash asks for more',
    ],
    ['a time without a zone', line({ createdAt: '2020-01-02T03:04:05' }), 'createdAt is no'],
    ['a time that is none', line({ createdAt: '2020-99-02T03:04:05Z' }), 'createdAt is no'],
    ['a day that is none', line({ createdAt: '2021-02-29T03:04:05Z' }), 'createdAt is no'],
    ['a time in seconds', line({ createdAt: 1_600_000_000 }), 'createdAt is no'],
    ['a time to come', line({ createdAt: '2026-01-01T00:00:01Z' }), 'createdAt is no'],
    ['text for disabled', line({ disabled: 'true' }), 'disabled is neither'],
  ])('%s, without being repeated', (_, text, sentence) => {
    const read = readImportedUser(text, NOW)
    expect(read).toEqual({ fault: expect.stringContaining(sentence) })
    expect(JSON.stringify(read)).not.toMatch(/kim|eU9xfD|hunter2|2020/i)
  })
})
