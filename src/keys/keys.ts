// The key ring: which key signs, which keys verify, what the JWKS shows. Keys change in stages, so that no verification fails: a
// key is published; it signs once every cache has it; after its successor took over and its last token expired it is retired.
// The database decides which replica does the work, and every replica follows it.

import type { SigningAlgorithm } from '../config.ts'
import { AuthError } from '../errors.ts'
import type { Report } from '../observability/events.ts'
import type { Clock } from '../platform/clock.ts'
import { deriveKeys } from '../platform/digest.ts'
import type { Database } from '../storage/database.ts'
import { StorageFault } from '../storage/faults.ts'
import { seal, unseal } from './seal.ts'
import type { PublicJwk, SigningKey } from './signing-key.ts'
import { generateSigningKey, isSigningAlgorithm, publicHalf } from './signing-key.ts'
import type { Seal, SigningKeyRow } from './store.ts'
import {
  deleteKey,
  deleteKeyBeside,
  deleteRetired,
  insertFirstKey,
  insertNextKey,
  replaceKey,
  selectKeys,
  updateSeal,
} from './store.ts'

/** The signing keys of the installation, in memory. */
export interface KeyRing {
  /** The key that signs now. Throws `SERVICE_UNAVAILABLE` where there is none. */
  current(): SigningKey
  /** Whether there is one. There is none if all were dropped, and the new one is sealed under a secret that this replica lacks. */
  ready(): boolean
  /** The public key with this id, or null. Never asks the database: a stranger chooses the id. */
  find(kid: string): PublicJwk | null
  /** RFC 7517 §5. */
  jwks(): { readonly keys: readonly PublicJwk[] }
  /** All keys and their stages, the newest first. */
  list(): readonly KeyStage[]
  /** The ids of the keys in the database that do not open: nothing else about them can be believed. */
  unreadable(): readonly string[]
  /** Reads the keys again, publishes the next one when it is due, retires old ones. Where the database fails, what is known stays. */
  tend(): Promise<void>
  /** Publishes the next key now. Returns its id, or null when one is already waiting to sign. */
  rotate(): Promise<string | null>
  /**
   * Takes a key away at once, and with it all tokens it signed. If it was the one that signs, a new one is made and signs; that
   * throws `WrongSecret` while there are keys that do not open. False: there is no key of this id.
   */
  drop(kid: string): Promise<boolean>
  /** How often to tend, in milliseconds: several times within what caches may keep. */
  readonly interval: number
  /** True if the first signing key was made by this start. */
  readonly isNew: boolean
}

/** The keys to seal with, derived from the secrets. */
export function sealingKeysOf(
  secrets: readonly [string, ...string[]],
): readonly [Uint8Array, ...Uint8Array[]] {
  return deriveKeys(secrets, 'signing key sealing v1')
}

/** Whether these can be the secrets of an installation with such keys: one of the keys opens, or there are none. */
export function canBeSecretsOf(
  seals: readonly Seal[],
  secrets: readonly [string, ...string[]],
): boolean {
  const sealingKeys = sealingKeysOf(secrets)
  const opens = ({ kid, sealed }: Seal) => sealingKeys.some((key) => unseal(sealed, key, kid))
  return seals.length === 0 || seals.some(opens)
}

/** Where a key stands. */
export interface KeyStage {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  readonly stage: 'published' | 'signing' | 'retiring'
  readonly createdAt: Date
  readonly signsFrom: Date
}

/** A key in the database does not open with the secret at hand. */
export class WrongSecret extends Error {
  override readonly name = 'WrongSecret'
  constructor() {
    super('the signing key in the database was sealed with another MUNJIGI_SECRET')
  }
}

/** What a key ring is made from. Durations: seconds. */
export interface KeyRingOptions {
  readonly database: Database
  readonly clock: Clock
  readonly report: Report
  /** 32 bytes each: the one to seal with first, then one that is being replaced. */
  readonly sealingKeys: readonly [Uint8Array, ...Uint8Array[]]
  readonly algorithm: SigningAlgorithm
  /** How long others may keep the JWKS. */
  readonly jwksMaxAge: number
  /** The longest that a token can be in force. */
  readonly tokenLifetime: number
  /** The age at which a key is replaced; 0: never by itself. */
  readonly rotation: number
  /** If one key opens, those that do not are left out rather than refused: for the commands that list and drop them. */
  readonly leaveUnreadable?: true
}

/**
 * A key that is to sign still later than this is not taken for the next one: a clock was wrong, and rotation would stop until then.
 * One that is a few minutes late is: clocks may be that far apart, and a second key beside it would sign before others know it, or
 * retire too early.
 */
const CLOCKS_DIFFER_MS = 3_600_000

/** By how much the clock of who publishes a key may be behind: an operator's, or that of the one replica that was replaced so far. */
const BEHIND_MS = 5_000

/** Loads the keys and makes the first one where there is none. Throws `WrongSecret`. */
export async function openKeyRing(options: KeyRingOptions): Promise<KeyRing> {
  const { database, clock, report, sealingKeys, algorithm, jwksMaxAge, tokenLifetime, rotation } =
    options
  const { leaveUnreadable = false } = options
  const interval = Math.min((jwksMaxAge * 1_000) / 10, 5_000)
  // Before a new key signs, on whichever clock, every replica has looked, and what others cached has expired.
  const behind = Math.min(BEHIND_MS, jwksMaxAge * 1_000)
  const delay = jwksMaxAge * 1_000 + 2 * interval + behind
  let keys: readonly SigningKey[] = []
  let refused: readonly string[] = []
  let isNew = false

  await loadAtStart()
  if (keys.length === 0) {
    const row = await make(clock.now())
    isNew = await database.write((db) => insertFirstKey(db, row))
    await loadAtStart()
  }

  return {
    current,
    ready: () => keys.length > 0,
    find: (kid) => keys.find((key) => key.kid === kid)?.publicJwk ?? null,
    jwks: () => ({ keys: keys.map((key) => key.publicJwk) }),
    list: () => keys.map(stageOf),
    unreadable: () => refused,
    async tend() {
      try {
        // First read what other replicas did: it must be known here even while nothing can be written.
        await load()
        const published =
          keys.length > 0 && isDue() && (await publish(clock.now() - rotation * 1_000))
        const retired = keys.length > 1 && (await retire())
        if (published || retired) await load()
      } catch (error) {
        // The database's faults are reported where they happened. The keys in memory go on signing and verifying.
        if (!(error instanceof AuthError || error instanceof StorageFault)) throw error
      }
    },
    async rotate() {
      const kid = await publish(clock.now())
      await load()
      return kid
    },
    async drop(kid) {
      const dropped = (await remove(kid)) || (await replace(kid))
      if (dropped) report({ type: 'key.rotated', stage: 'dropped', kid })
      await load()
      return dropped
    },
    interval,
    isNew,
  }

  /** The newest key of the configured algorithm that may sign by now; else the newest of another; else one that a clock ahead dated. */
  function current(): SigningKey {
    const ready = keys.filter((key) => key.signsFrom <= clock.now())
    const key = ready.find((candidate) => candidate.algorithm === algorithm) ?? ready[0] ?? keys[0]
    if (!key) throw new AuthError('SERVICE_UNAVAILABLE', { retryAfter: 1 })
    return key
  }

  /** Whether the newest key of the configured algorithm is too old, or missing. Keys that a clock far ahead dated do not count. */
  function isDue(): boolean {
    const newest = keys.find(
      (key) =>
        key.algorithm === algorithm && key.signsFrom <= clock.now() + delay + CLOCKS_DIFFER_MS,
    )
    return !newest || (rotation > 0 && newest.signsFrom <= clock.now() - rotation * 1_000)
  }

  async function publish(after: number): Promise<string | null> {
    const row = await make(clock.now() + delay)
    const until = row.signsFrom + CLOCKS_DIFFER_MS
    const published = await database.write((db) => insertNextKey(db, row, { after, until }))
    if (published) report({ type: 'key.rotated', stage: 'published', kid: row.kid })
    return published ? row.kid : null
  }

  /** Deletes the keys that a successor has replaced for long enough. Returns whether there were any. */
  async function retire(): Promise<boolean> {
    const before = clock.now() - (tokenLifetime + jwksMaxAge) * 1_000
    // `keys` holds only those that open: one that does not open signs nothing, and takes over from nobody.
    const successor = keys.find((key) => key.algorithm === algorithm && key.signsFrom <= before)
    if (!successor) return false
    const retired = await database.write((db) => deleteRetired(db, successor.kid))
    for (const kid of retired) report({ type: 'key.rotated', stage: 'retired', kid })
    return retired.length > 0
  }

  /**
   * Deletes a key without making a new one, which would be in nobody's cache yet: if another key signs, or this one does not
   * open. The database decides: of two that are dropped at once, one must not count on the other.
   */
  async function remove(kid: string): Promise<boolean> {
    if (refused.includes(kid)) return await database.write((db) => deleteKey(db, kid))
    if (kid === current().kid) return false
    return await database.write((db) => deleteKeyBeside(db, kid, clock.now()))
  }

  /** Replaces the key that signs by a new one; not while some do not open: our secret may be the wrong one to seal it under. */
  async function replace(kid: string): Promise<boolean> {
    if (!keys.some((key) => key.kid === kid)) return false
    if (refused.length > 0) throw new WrongSecret()
    const row = await make(clock.now())
    return await database.write((db) => replaceKey(db, kid, row))
  }

  async function make(signsFrom: number): Promise<SigningKeyRow> {
    const key = await generateSigningKey(algorithm)
    return {
      kid: key.kid,
      algorithm,
      sealedPrivateJwk: seal(JSON.stringify(key.privateJwk), sealingKeys[0], key.kid),
      createdAt: clock.now(),
      signsFrom,
    }
  }

  /** A key that does not open means, at the start, that the secret is wrong. */
  async function loadAtStart(): Promise<void> {
    refused = await read()
    if (refused.length > 0 && !(leaveUnreadable && keys.length > 0)) throw new WrongSecret()
  }

  /** Later, keys that do not open are left out and reported once, so that they do not stop those that do. */
  async function load(): Promise<void> {
    const unopened = await read()
    for (const kid of unopened) if (!refused.includes(kid)) report({ type: 'key.refused', kid })
    refused = unopened
  }

  /** Reads the keys that open, and returns the ids of the others. If the database has lost all keys, those in memory stay. */
  async function read(): Promise<string[]> {
    const rows = await database.read(selectKeys)
    const unopened: string[] = []
    const opened: SigningKey[] = []
    for (const row of rows) {
      // A key in memory is not opened again: another replica may have sealed it under a newer secret.
      const key = keys.find(({ kid }) => kid === row.kid) ?? (await open(row))
      if (key) opened.push(key)
      else unopened.push(row.kid)
    }
    if (rows.length > 0) keys = opened
    return unopened
  }

  /** Opens a key; seals it anew if an older secret opened it. Null: it does not open, or this version does not know its algorithm. */
  async function open(row: SigningKeyRow): Promise<SigningKey | null> {
    const [byCurrent, ...byOlder] = sealingKeys.map((sealingKey) =>
      unseal(row.sealedPrivateJwk, sealingKey, row.kid),
    )
    const text = byCurrent ?? byOlder.find((opened) => opened !== null)
    if (text === null || text === undefined || !isSigningAlgorithm(row.algorithm)) return null
    if (byCurrent === null) {
      const to = seal(text, sealingKeys[0], row.kid)
      await database.write((db) => updateSeal(db, { kid: row.kid, from: row.sealedPrivateJwk, to }))
    }
    const privateJwk = JSON.parse(text) as JsonWebKey
    // From the sealed half, never from a column: whoever can write rows must not be able to add a key that verifies.
    const publicJwk = publicHalf(privateJwk, row.algorithm)
    if (publicJwk.kid !== row.kid) return null
    const { kid, algorithm: of, createdAt, signsFrom } = row
    return { kid, algorithm: of, publicJwk, privateJwk, createdAt, signsFrom }
  }

  function stageOf(key: SigningKey): KeyStage {
    const { kid, algorithm: of, createdAt, signsFrom } = key
    const stage =
      kid === current().kid ? 'signing' : signsFrom > clock.now() ? 'published' : 'retiring'
    return {
      kid,
      algorithm: of,
      stage,
      createdAt: new Date(createdAt),
      signsFrom: new Date(signsFrom),
    }
  }
}
