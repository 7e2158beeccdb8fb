// The file of a backup: records in sealed frames (AES-256-GCM), each bound to its place, the last one marked. What is cut
// short, changed, put in another order or opened with another key is refused, wherever it happens.

import { createCipheriv, createDecipheriv } from 'node:crypto'
import { deriveKey } from '../platform/digest.ts'
import type { Random } from '../platform/random.ts'

/** The file is not a whole backup, or was made with another key. The message is a sentence for the operator. */
export class BrokenBackup extends Error {
  override readonly name = 'BrokenBackup'
}

const MAGIC = Buffer.from('munjigi-backup 1\n')
const SALT_BYTES = 16
const TAG_BYTES = 16
const LENGTH_BYTES = 4
/** No frame that we write is longer. */
const LARGEST_FRAME = 64 * 1_024 * 1_024

/** Makes the bytes of an archive, in order. */
export interface Sealer {
  /** What the file begins with. */
  readonly head: Uint8Array
  /** The next frame. Exactly one, the final one, is `last`. */
  frame(record: unknown, place?: 'last'): Uint8Array
}

/** Begins an archive. Its key follows from `secret` and a salt of its own, so that no two files share one. */
export function createSealer(secret: string, random: Random): Sealer {
  const head = Buffer.concat([MAGIC, random.bytes(SALT_BYTES)])
  const key = keyOf(secret, head)
  let index = 0
  return {
    head,
    frame(record, place) {
      const cipher = createCipheriv('aes-256-gcm', key, nonceOf(index, place))
      cipher.setAAD(head)
      index += 1
      const text = JSON.stringify(record)
      const sealed = [cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()]
      const length = Buffer.alloc(LENGTH_BYTES)
      length.writeUInt32BE(sealed.reduce((sum, { length: bytes }) => sum + bytes, 0))
      return Buffer.concat([length, ...sealed])
    },
  }
}

/** The records of an archive under the first of `secrets` that opens it. Throws `BrokenBackup`. */
export async function* openArchive(
  chunks: AsyncIterable<Uint8Array>,
  secrets: readonly string[],
): AsyncGenerator<unknown> {
  const bytes = createReader(chunks)
  const head = await bytes.take(MAGIC.length + SALT_BYTES)
  if (!head?.subarray(0, MAGIC.length).equals(MAGIC))
    throw new BrokenBackup('this is not a backup of Munjigi')
  let keys = secrets.map((secret) => keyOf(secret, head))
  for (let index = 0; ; index += 1) {
    const sealed = await frameOf(bytes)
    const opened = keys.map((key) => ({ key, ...unsealFrame(sealed, { key, head, index }) }))
    const found = opened.find(({ text }) => text !== undefined)
    if (found?.text === undefined)
      throw new BrokenBackup(
        index === 0
          ? 'it was made with another key, or its beginning was changed'
          : `it was changed: part ${index + 1} does not open`,
      )
    keys = [found.key]
    yield JSON.parse(found.text)
    if (!found.last) continue
    if (await bytes.take(1)) throw new BrokenBackup('something was added after its end')
    return
  }
}

function keyOf(secret: string, head: Buffer): Uint8Array {
  return deriveKey(secret, `backup v1 ${head.subarray(MAGIC.length).toString('hex')}`)
}

/** Eleven bytes count the frames, the twelfth marks the last. A key belongs to one file, so no nonce is used twice. */
function nonceOf(index: number, place: 'last' | undefined): Buffer {
  const nonce = Buffer.alloc(12)
  nonce.writeUIntBE(index, 5, 6)
  nonce.writeUInt8(place === 'last' ? 1 : 0, 11)
  return nonce
}

async function frameOf(bytes: Reader): Promise<Buffer> {
  const length = (await bytes.take(LENGTH_BYTES))?.readUInt32BE() ?? 0
  const sealed =
    length >= TAG_BYTES && length <= LARGEST_FRAME ? await bytes.take(length) : undefined
  if (!sealed) throw new BrokenBackup('it is not whole: its end is missing')
  return sealed
}

/** Tries a frame as any but the last and then as the last: the mark is part of the nonce. */
function unsealFrame(sealed: Buffer, at: { key: Uint8Array; head: Buffer; index: number }) {
  for (const place of [undefined, 'last'] as const) {
    const cipher = createDecipheriv('aes-256-gcm', at.key, nonceOf(at.index, place), {
      authTagLength: TAG_BYTES,
    })
    cipher.setAAD(at.head).setAuthTag(sealed.subarray(-TAG_BYTES))
    try {
      const text = Buffer.concat([cipher.update(sealed.subarray(0, -TAG_BYTES)), cipher.final()])
      return { text: text.toString('utf8'), last: place === 'last' }
    } catch {
      // Not this one.
    }
  }
  return { text: undefined, last: false }
}

interface Reader {
  /** Exactly `size` bytes, or undefined when there are fewer. */
  take(size: number): Promise<Buffer | undefined>
}

function createReader(chunks: AsyncIterable<Uint8Array>): Reader {
  const source = chunks[Symbol.asyncIterator]()
  let rest = Buffer.alloc(0)
  return {
    async take(size) {
      const parts = [rest]
      let have = rest.length
      while (have < size) {
        const { value, done } = await source.next()
        if (done) return undefined
        parts.push(Buffer.from(value))
        have += value.length
      }
      const all = Buffer.concat(parts)
      rest = all.subarray(size)
      return all.subarray(0, size)
    },
  }
}
