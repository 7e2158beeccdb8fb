// A signing key: made here, named by its RFC 7638 thumbprint, published without its private members (RFC 7517).

import { createHash } from 'node:crypto'
import type { SigningAlgorithm } from '../config.ts'

/** A public key as others see it in the JWKS. */
export interface PublicJwk {
  readonly kty: string
  readonly kid: string
  readonly alg: SigningAlgorithm
  readonly use: 'sig'
  readonly crv?: string
  readonly x?: string
  readonly y?: string
  readonly n?: string
  readonly e?: string
}

/** Both halves. The private one never leaves this process unsealed. */
export interface SigningKey {
  readonly kid: string
  readonly algorithm: SigningAlgorithm
  readonly publicJwk: PublicJwk
  readonly privateJwk: JsonWebKey
  /** When it was published: milliseconds since 1970. */
  readonly createdAt: number
  /** From when on it signs. */
  readonly signsFrom: number
}

/** 128-bit strength at least (ASVS 11.2.3): P-256, Ed25519, RSA of 3072 bits. */
const PARAMETERS = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256' },
  EdDSA: { name: 'Ed25519' },
  RS256: {
    name: 'RSASSA-PKCS1-v1_5',
    hash: 'SHA-256',
    modulusLength: 3072,
    publicExponent: new Uint8Array([1, 0, 1]),
  },
} as const

/** The members that make a thumbprint, in the order RFC 7638 §3.2 and RFC 8037 §2 prescribe. */
const THUMBPRINT_MEMBERS = {
  ES256: ['crv', 'kty', 'x', 'y'],
  EdDSA: ['crv', 'kty', 'x'],
  RS256: ['e', 'kty', 'n'],
} as const

/** A key without its place in time. */
export type NewKey = Omit<SigningKey, 'createdAt' | 'signsFrom'>

/** Whether keys of this kind can be read: a later version may have made one that this one does not know. */
export function isSigningAlgorithm(text: string): text is SigningAlgorithm {
  return Object.hasOwn(PARAMETERS, text)
}

/** Makes a new key. Its kid never begins with `-`, which command lines, ours and others, would read as an option. */
export async function generateSigningKey(algorithm: SigningAlgorithm): Promise<NewKey> {
  for (;;) {
    const pair = await crypto.subtle.generateKey(PARAMETERS[algorithm], true, ['sign', 'verify'])
    if (!('privateKey' in pair)) throw new Error('an asymmetric algorithm gives a pair')
    const privateJwk = await crypto.subtle.exportKey('jwk', pair.privateKey)
    const publicJwk = publicHalf(privateJwk, algorithm)
    const { kid } = publicJwk
    if (!kid.startsWith('-')) return { kid, algorithm, publicJwk, privateJwk }
  }
}

/** What may be published of a key, under its thumbprint. Only the members named are copied: nothing private can slip in. */
export function publicHalf(privateJwk: JsonWebKey, algorithm: SigningAlgorithm): PublicJwk {
  const names = THUMBPRINT_MEMBERS[algorithm]
  const members = Object.fromEntries(names.map((name) => [name, privateJwk[name]]))
  const kid = createHash('sha256').update(JSON.stringify(members)).digest('base64url')
  return { ...members, kid, alg: algorithm, use: 'sig' } as PublicJwk
}

/** The public key in the form that verifies. */
export function importPublic(jwk: PublicJwk): Promise<CryptoKey> {
  return crypto.subtle.importKey('jwk', { ...jwk }, PARAMETERS[jwk.alg], false, ['verify'])
}

/** The private key in the form that signs, with what `hono/jwt` writes into the header of a token. */
export async function importPrivate({
  kid,
  algorithm,
  privateJwk,
}: SigningKey): Promise<CryptoKey> {
  const key = await crypto.subtle.importKey('jwk', privateJwk, PARAMETERS[algorithm], false, [
    'sign',
  ])
  return Object.assign(key, { alg: algorithm, kid })
}
