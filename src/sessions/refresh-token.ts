// The refresh token: `mjr_` and session id, generation, secret and a MAC over them, separated by dots. A ratchet: the next
// secret is an HMAC of this one, so that a lost answer can be given again from the parent alone; the database holds only
// the hash of the newest. A forged token costs no query. Neither the database nor our secret alone yields a token.

import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { deriveKeys } from '../platform/digest.ts'
import type { Random } from '../platform/random.ts'
import type { SessionId } from './session.ts'
import { toSessionId } from './session.ts'

/** A token taken apart, its MAC checked. Whether it still works the database decides. */
export interface RefreshToken {
  readonly sessionId: SessionId
  readonly generation: number
  /** 32 bytes. */
  readonly secret: Uint8Array
}

/** Makes and reads refresh tokens. */
export interface RefreshTokens {
  /** The first token of a session: its secret is random. */
  first(sessionId: SessionId): RefreshToken
  /** The token that follows; under an older key as well when one is configured, the current one first. */
  successors(token: RefreshToken): readonly [RefreshToken, ...RefreshToken[]]
  /** The text for the client. */
  write(token: RefreshToken): string
  /** The token of a text that we wrote, else null. */
  read(text: string): RefreshToken | null
}

const PREFIX = 'mjr_'
const SECRET_BYTES = 32
const MAC_BYTES = 16
const FORM = /^mjr_([a-z0-9_-]{1,64})\.(0|[1-9]\d{0,8})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{22})$/

/** Keys are derived from the secrets: the current one first, then one that is being replaced. */
export function createRefreshTokens(
  secrets: readonly [string, ...string[]],
  random: Random,
): RefreshTokens {
  const macKeys = deriveKeys(secrets, 'refresh token mac v1')
  const [ratchetKey, ...olderRatchetKeys] = deriveKeys(secrets, 'refresh token ratchet v1')

  return {
    first: (sessionId) => ({ sessionId, generation: 0, secret: random.bytes(SECRET_BYTES) }),

    successors({ sessionId, generation, secret }) {
      const next = (key: Uint8Array): RefreshToken => ({
        sessionId,
        generation: generation + 1,
        secret: createHmac('sha256', key).update(secret).digest(),
      })
      return [next(ratchetKey), ...olderRatchetKeys.map(next)]
    },

    write(token) {
      const body = bodyOf(token)
      return `${PREFIX}${body}.${macOf(macKeys[0], body).toString('base64url')}`
    },

    read(text) {
      const [, id, generation, secret, mac] = FORM.exec(text) ?? []
      if (!id || !generation || !secret || !mac) return null
      const token = {
        sessionId: toSessionId(id),
        generation: Number(generation),
        secret: Buffer.from(secret, 'base64url'),
      }
      const given = Buffer.from(mac, 'base64url')
      // Written again and compared: one spelling for one token.
      const body = bodyOf(token)
      if (text !== `${PREFIX}${body}.${given.toString('base64url')}`) return null
      return macKeys.some((key) => timingSafeEqual(macOf(key, body), given)) ? token : null
    },
  }
}

/** What the database keeps of a secret: SHA-256 is enough for 256 random bits. */
export function secretHash({ secret }: RefreshToken): string {
  return createHash('sha256').update(secret).digest('base64url')
}

function bodyOf({ sessionId, generation, secret }: RefreshToken): string {
  return `${sessionId}.${generation}.${Buffer.from(secret).toString('base64url')}`
}

function macOf(key: Uint8Array, body: string): Buffer {
  return createHmac('sha256', key).update(body).digest().subarray(0, MAC_BYTES)
}
