// Files that are there whole or not at all: written under another name, synced, and then given their own in one step.
// `writeNewFile` never replaces a file; `putInPlace` does.

import { constants } from 'node:fs'
import type { FileHandle } from 'node:fs/promises'
import { link, open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Random } from './random.ts'

/** A name beside a path that nobody else uses: `path.partial-1a2b3c4d`. */
export function nameBeside(path: string, word: string, random: Random): string {
  return `${path}.${word}-${random.bytes(4).toHex()}`
}

/** Writes a new file by way of a draft. Throws the system's errors: `EEXIST` if the name is taken. */
export async function writeNewFile<T>(
  path: string,
  random: Random,
  write: (file: FileHandle) => Promise<T>,
): Promise<T> {
  const draft = nameBeside(path, 'partial', random)
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

/** A file that is written from start to end, and can be started over. */
export interface Rewindable {
  /** Drops what was written, and starts over. */
  rewind(): Promise<void>
  write(bytes: Uint8Array): Promise<void>
}

/** Makes an open file rewindable. Throws the system's errors. */
export function rewindable(file: FileHandle): Rewindable {
  let position = 0
  return {
    async rewind() {
      await file.truncate(0)
      position = 0
    },
    async write(bytes) {
      // One call may write only a part: on a full disk, or at a size limit.
      for (let from = 0; from < bytes.length; ) {
        const { bytesWritten } = await file.write(bytes, from, bytes.length - from, position)
        from += bytesWritten
        position += bytesWritten
      }
    },
  }
}

/**
 * Gives a file that root has made to the owner of `like`, a file or a folder. That owner may meanwhile have put something
 * else in its place, such as a link to a file of root's: then it throws, and nothing is given away.
 */
export async function giveToOwnerOf(like: string, path: string): Promise<void> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants
  await using file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
  const [own, other] = await Promise.all([file.stat(), stat(like)])
  if (!own.isFile() || own.nlink !== 1)
    throw new Error('the file was replaced by another while it was written')
  if (own.uid === 0) await file.chown(other.uid, other.gid)
}

/** Gives a finished draft the name `path`, if it is free, and makes that durable. Throws the system's error, `EEXIST` where it is taken. */
export async function putAsNew(draft: string, path: string): Promise<void> {
  await syncFile(draft)
  await link(draft, path)
  await syncFolder(path)
}

/** Moves a finished draft to `path`, replaces what is there, and makes that durable. */
export async function putInPlace(draft: string, path: string): Promise<void> {
  await syncFile(draft)
  await rename(draft, path)
  await syncFolder(path)
}

async function syncFile(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  await file.sync()
}

/** A file's name is durable only once its folder is synced. */
async function syncFolder(path: string): Promise<void> {
  await using folder = await open(dirname(path), 'r')
  await folder.sync()
}
