// Backing up while replicas serve. On a server a backup gives way: there a reader that stays makes the next checkpoint wait, and
// every writer behind that. A backup that notices lets go at once, and begins again when the checkpoint is over.

import type { Client } from '@libsql/client'
import type { Clock } from '../platform/clock.ts'
import type { Rewindable } from '../platform/place-file.ts'
import type { Random } from '../platform/random.ts'
import { createSealer } from './archive.ts'
import type { Place } from './database.ts'
import { connected } from './database.ts'
import { toFault } from './faults.ts'
import type { Manifest } from './snapshot.ts'
import { readSnapshot } from './snapshot.ts'

/** What a backup is made from. */
export interface BackupOptions {
  readonly place: Place
  /** What the key is derived from. */
  readonly secret: string
  /** Of the program. */
  readonly version: string
  readonly clock: Clock
  readonly random: Random
  /** Where the bytes go. */
  readonly file: Rewindable
  readonly onProgress: (rows: number, of: number) => void
}

/** Every attempt held up writers: no gap between checkpoints is long enough. */
export class NoQuietMoment extends Error {
  override readonly name = 'NoQuietMoment'
}

class GiveWay extends Error {}

/** Milliseconds that one answer of a server may take. */
const PATIENCE_MS = 30_000
const ATTEMPTS = 5
/** The pause between writes that are tried beside the reading, and how long they may be refused: less than replicas wait. */
const PROBE_MS = 100
const REFUSED_MS = 400

/** Writes a whole backup to `file`. Throws the driver's errors, and `NoQuietMoment`. */
export async function backUp(options: BackupOptions): Promise<Manifest> {
  const attempts = async (client: Client) => {
    for (let attempt = 1; attempt <= ATTEMPTS; attempt += 1) {
      try {
        return await once(client, options)
      } catch (error) {
        if (!(error instanceof GiveWay)) throw error
      }
    }
    throw new NoQuietMoment('writers were hindered')
  }
  return await connected(options.place, attempts, () => PATIENCE_MS)
}

async function once(client: Client, options: BackupOptions): Promise<Manifest> {
  const { secret, version, clock, random, file, onProgress } = options
  const sealer = createSealer(secret, random)
  await file.rewind()
  await file.write(sealer.head)
  const probe = options.place.url.startsWith('file:') ? undefined : startProbe(client, clock)
  let manifest: Manifest | undefined
  let [done, total] = [0, 0]
  try {
    const moment = { version, createdAt: new Date(clock.now()) }
    for await (const record of readSnapshot(client, moment, probe?.check)) {
      if ('rows' in record) done += record.rows.length
      else {
        manifest = record
        total = record.tables.reduce((sum, { rows }) => sum + rows, 0)
      }
      await file.write(sealer.frame(record))
      onProgress(done, total)
    }
  } finally {
    await probe?.stop()
  }
  if (!manifest) throw new Error('a snapshot begins with its manifest')
  await file.write(sealer.frame({ rows: done }, 'last'))
  return manifest
}

/** Tries a write that changes nothing, again and again. `check` throws once it has been refused for too long. */
function startProbe(client: Client, clock: Clock) {
  let refusedSince: number | undefined
  let stopped = false
  const probing = (async () => {
    while (!stopped) {
      try {
        await client.execute('DELETE FROM heartbeats WHERE id < 0')
        refusedSince = undefined
      } catch (error) {
        if (toFault(error).code === 'busy') refusedSince ??= clock.elapsed()
      }
      await Bun.sleep(PROBE_MS)
    }
  })()
  return {
    check() {
      if (refusedSince !== undefined && clock.elapsed() - refusedSince > REFUSED_MS)
        throw new GiveWay()
    },
    async stop() {
      stopped = true
      await probing
    },
  }
}
