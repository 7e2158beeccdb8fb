// Files that are there whole or not at all: written under another name, synced, and then given theirs by one step that
// takes no name from a file that is there.

import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { link, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Random } from './random.ts'

/** A name beside a path that nobody else uses: `path.partial-1a2b3c4d`. */
export function besideOf(path: string, word: string, random: Random): string {
  return `${path}.${word}-${Buffer.from(random.bytes(4)).toString('hex')}`
}

/** Writes a new file by way of a draft. Throws the system's error, `EEXIST` where there is one of that name. */
export async function writeNewFile<T>(
  path: string,
  random: Random,
  write: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const draft = besideOf(path, 'partial', random)
  try {
    await using file = await open(draft, 'wx', 0o600)
    const result = await write(file)
    await file.sync()
    await link(draft, path)
    await syncFolder(path)
    return result
  } finally {
    await rm(draft, { force: true })
  }
}

/** A file that is written from its beginning on, perhaps several times. */
export interface Rewindable {
  /** Forgets what was written: it begins again. */
  rewind(): Promise<void>
  write(bytes: Uint8Array): Promise<void>
}

/** An open file as one that can begin again. Throws the system's errors. */
export function rewindable(file: FileHandle): Rewindable {
  let position = 0
  return {
    async rewind() {
      await file.truncate(0)
      position = 0
    },
    async write(bytes) {
      // One call may write less than all: to a full disk, or over a limit.
      for (let from = 0; from < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, from, bytes.length - from, position)
        from += bytesWritten
        position += bytesWritten
      }
    },
  }
}

/**
 * Gives a file that root has made to whoever `like`, a file or a folder, belongs to. That one may put something else in its
 * place meanwhile, a link to a file of root's: that is not given away. Throws.
 */
export async function giveToOwnerOf(like: string, path: string): Promise<void> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  await using file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  const [own, other] = await Promise.all([file.stat(), stat(like)])
  if (!own.isFile() || own.nlink !== 1) throw new Error('another file is in the place of ours')
  if (own.uid === 0) await file.chown(other.uid, other.gid)
}

/** Gives a finished file its name, in the place of what has it, and makes that last. */
export async function putInPlace(draft: string, path: string): Promise<void> {
  await syncFile(draft)
  await rename(draft, path)
  await syncFolder(path)
}

async function syncFile(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.sync()
}

/** A name lasts when its folder does. */
async function syncFolder(path: string): Promise<void> {
  await using folder = await open(dirname(path), 'r')
  await folder.sync()
}
