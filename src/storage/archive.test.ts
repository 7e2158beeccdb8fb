// The file of a backup: whatever is done to it, it is opened whole or refused.

import { describe, expect, test } from 'bun:test'
import { createTestRandom } from '../testing/random.ts'
import { BrokenBackup, createSealer, openArchive } from './archive.ts'

const SECRET = 'a secret of more than thirty-two bytes'
const OTHER = 'another secret of more than thirty-two bytes'
const RECORDS = [{ first: 1 }, { second: '둘' }, { third: 3 }]

/** The head of an archive and its frames, the last of which is marked. */
function seal(secret = SECRET): Uint8Array[] {
  const sealer = createSealer(secret, createTestRandom())
  const last = RECORDS.length - 1
  return [sealer.head, ...RECORDS.map((r, i) => sealer.frame(r, i === last ? 'last' : undefined))]
}

/** What an archive holds when its bytes come in pieces of some size. */
function open(bytes: Uint8Array, secrets = [SECRET], size = 7): Promise<unknown[]> {
  async function* chunks() {
    for (let from = 0; from < bytes.length; from += size) yield bytes.subarray(from, from + size)
  }
  return Array.fromAsync(openArchive(chunks(), secrets))
}

test.each([1, 7, 1_000])(
  'an archive gives its records in order, in pieces of %d bytes',
  async (size) => {
    expect(await open(Buffer.concat(seal()), [SECRET], size)).toEqual(RECORDS)
  },
)

test('an archive opens under whichever of the secrets it was made with, and no other', async () => {
  const bytes = Buffer.concat(seal())
  expect(await open(bytes, [OTHER, SECRET])).toEqual(RECORDS)
  await expect(open(bytes, [OTHER])).rejects.toBeInstanceOf(BrokenBackup)
})

test('two of the same records share no frame', () => {
  const random = createTestRandom()
  const [one, other] = [createSealer(SECRET, random), createSealer(SECRET, random)]
  expect(one.frame(RECORDS)).not.toEqual(other.frame(RECORDS))
})

test('no two frames of one are alike, however many hold the same', () => {
  const { frame } = createSealer(SECRET, createTestRandom())
  const frames = Array.from({ length: 300 }, () => Buffer.from(frame(RECORDS)).toString('hex'))
  expect(new Set(frames).size).toBe(300)
})

test('what is no archive is told from one of another secret', async () => {
  const database = Buffer.from('SQLite format 3\0'.padEnd(4_096))
  await expect(open(database)).rejects.toThrow('this is not a backup of Munjigi')
})

describe('an archive is refused', () => {
  const [head, first, second, third] = seal() as [Buffer, Buffer, Buffer, Buffer]
  const whole = Buffer.concat([head, first, second, third])

  test('wherever a bit of it was changed', async () => {
    for (let at = 0; at < whole.length; at += 1) {
      const changed = whole.map((byte, i) => (i === at ? byte ^ 1 : byte))
      await expect(open(changed)).rejects.toBeInstanceOf(BrokenBackup)
    }
  })

  test('wherever it was cut short', async () => {
    for (let length = 0; length < whole.length; length += 1)
      await expect(open(whole.subarray(0, length))).rejects.toBeInstanceOf(BrokenBackup)
  })

  test.each([
    ['in another order', [head, second, first, third]],
    ['with a frame left out', [head, first, third]],
    ['with a frame that comes twice', [head, first, first, second, third]],
    ['with something behind its end', [head, first, second, third, Buffer.from([0])]],
    ['with frames of another file behind its end', [head, first, second, third, first]],
    ['with the frames of another secret', [head, ...seal(OTHER).slice(1)]],
    ['without frames', [head]],
  ])('%s', async (_, parts) => {
    await expect(open(Buffer.concat(parts))).rejects.toBeInstanceOf(BrokenBackup)
  })
})
