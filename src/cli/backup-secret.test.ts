// What a backup may be sealed with.

import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readSettings } from '../config.ts'
import { readBackupSecrets } from './backup-secret.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'munjigi-key-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const settings = (secrets = {}) =>
  readSettings('dev', {
    environment: { MUNJIGI_DATABASE_URL: `file:${join(folder, 'munjigi.db')}`, ...secrets },
    readFile: () => '',
    onTerminal: false,
  })

function read(name: string, bytes: string | Uint8Array): readonly string[] {
  writeFileSync(join(folder, name), bytes)
  return readBackupSecrets(settings(), name === 'secret' ? undefined : join(folder, name))
}

test('a key of raw bytes is refused, since all such would become the same key', () => {
  for (const byte of [0x80, 0xff])
    expect(() => read('key', Buffer.alloc(32, byte))).toThrow(
      '--key-file: is not text; use `openssl rand -base64 48`',
    )
})

test('the length of a key is counted in bytes', () => {
  expect(read('key', `${'가'.repeat(11)}\n`)).toEqual(['가'.repeat(11)])
  expect(() => read('key', '가'.repeat(10))).toThrow('--key-file: must hold at least 32 bytes')
})

test('the previous secret opens backups as well, but seals none', () => {
  const [secret, previous] = ['abcdefgh'.repeat(4), '12345678'.repeat(4)]
  const both = settings({ MUNJIGI_SECRET: secret, MUNJIGI_SECRET_PREVIOUS: previous })
  expect(readBackupSecrets(both, undefined)).toEqual([secret, previous])
})

test('a copy of the file of the secret, made while it is being replaced, opens what either of them sealed', () => {
  const [secret, other] = ['a'.repeat(32), 'b'.repeat(32)]
  for (const word of ['next', 'previous'])
    expect(read('key', `${secret}\n${word} ${other}\n`)).toEqual([
      `${secret}\n${word} ${other}`,
      secret,
      other,
    ])
})

test.each([
  ['is short', 'hunter2', 'must be at least 32 bytes long'],
  ['is not random', 'a'.repeat(64), 'must be random'],
  ['is not text', Buffer.alloc(48, 0xff), 'is not text'],
])('a secret kept beside the database that %s is refused by its path', (_, bytes, words) => {
  const path = join(folder, 'secret')
  expect(() => read('secret', bytes)).toThrow(`${path}: ${words}`)
  expect(() => read('secret', bytes)).not.toThrow('hunter2')
})
