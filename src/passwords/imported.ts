// Hashes of other systems: bcrypt, scrypt and PBKDF2 (as PHC strings and Django's), Django's bcrypt. Checked as those systems would,
// within bounds; the first login that matches replaces them by a hash of ours.

import { createHash, pbkdf2, scrypt, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import type { HashFault, ReadableHash } from './hasher.ts'

/** The most a string may ask for; each is about a second of one core, and so much scrypt takes 256 MiB at most. */
const MOST = {
  bcryptCost: 14,
  scryptWork: 2 ** 21,
}
/**
 * The same for PBKDF2, by digest, and how long it may be: a longer one would take all rounds again for each further block. Half of
 * SHA-512 is what ASP.NET Core Identity keeps.
 */
const PBKDF2_MOST: Readonly<Record<string, { bytes: readonly number[]; rounds: number }>> = {
  sha512: { bytes: [64, 32], rounds: 2_000_000 },
  sha256: { bytes: [32], rounds: 5_000_000 },
  sha1: { bytes: [20], rounds: 5_000_000 },
}

/** How much of a password bcrypt looks at. Bun would hash longer ones first, which nobody else does. */
const BCRYPT_BYTES = 72
/** `$2x$` is left out: it marks hashes of a broken library. */
const BCRYPT = /^(?:(bcrypt|bcrypt_sha256)\$)?(\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53})$/
const SCRYPT =
  /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{1,172})\$([A-Za-z0-9+/]{22,172})$/
// A salt that is not ASCII was damaged on the way: its hash would never match, and not every database can keep it.
const DJANGO_SCRYPT =
  /^scrypt\$(\d{1,9})\$([!-#%-~]{1,128})\$(\d{1,3})\$(\d{1,3})\$([A-Za-z0-9+/]{22,172}={0,2})$/
const DJANGO_PBKDF2 =
  /^pbkdf2_(sha256|sha1)\$(\d{1,9})\$([!-#%-~]{1,128})\$([A-Za-z0-9+/]{27,43}=)$/
/** As @phc/pbkdf2 and Kratos write it, and as passlib, Elixir's and Authelia do: with the rounds alone. `l` is the length of the digest. */
const PBKDF2 =
  /^\$pbkdf2-(sha512|sha256)\$(?:i=)?(\d{1,9})(?:,l=\d{1,3})?\$([A-Za-z0-9+/.]{11,172})\$([A-Za-z0-9+/.]{27,86})$/

/**
 * better-auth, Lucia and Oslo, and nobody else, take the hexadecimal text of a salt for the salt, and blocks of 16. They put passwords
 * into NFKC, which makes others of Korean letters that stand alone (ㅋㅋㅋ) and of wide Latin ones.
 */
const HEX_SALT = /^[0-9a-f]{32}$/

const scryptOf = promisify<string, Buffer, number, object, Buffer>(scrypt)
const pbkdf2Of = promisify(pbkdf2)

/** bcrypt as such, and as Django wraps it. Null: it is not bcrypt. */
export function readBcrypt(text: string): ReadableHash | HashFault | null {
  const [, wrapping, hash, cost] = BCRYPT.exec(text) ?? []
  if (!hash) return null
  if (Number(cost) < 4) return 'unknown_format'
  if (Number(cost) > MOST.bcryptCost) return 'too_costly'
  return {
    kib: 4,
    async verify(password) {
      const bytes = Buffer.from(wrapping === 'bcrypt_sha256' ? sha256Hex(password) : password)
      const matches = await Bun.password.verify(bytes.subarray(0, BCRYPT_BYTES), hash, 'bcrypt')
      // bcrypt repeats a password with a NUL in between, so that `a` and `a␀a` are the same to it.
      return matches && !bytes.includes(0)
    },
  }
}

/** scrypt as a PHC string, and as Django writes it. Null: it is not scrypt. */
export function readScrypt(text: string): ReadableHash | HashFault | null {
  const [, ln, r, p, salt, digest] = SCRYPT.exec(text) ?? []
  if (salt && digest)
    return scryptHash({ n: 2 ** Number(ln), r: Number(r), p: Number(p) }, base64(salt), digest)
  const [, n, djangoSalt, djangoR, djangoP, djangoDigest] = DJANGO_SCRYPT.exec(text) ?? []
  if (!djangoSalt || !djangoDigest) return null
  const cost = { n: Number(n), r: Number(djangoR), p: Number(djangoP) }
  return scryptHash(cost, Buffer.from(djangoSalt), djangoDigest)
}

function scryptHash(
  { n, r, p }: { n: number; r: number; p: number },
  salt: Buffer,
  digest: string,
): ReadableHash | HashFault {
  const memory = 128 * n * r
  if (n < 2 || !Number.isInteger(Math.log2(n)) || memory === 0 || p === 0) return 'unknown_format'
  if (n * r * p > MOST.scryptWork) return 'too_costly'
  const expected = base64(digest)
  const options = { N: n, r, p, maxmem: 2 * memory + 1024 * 1024 }
  const form = r === 16 && HEX_SALT.test(salt.toString('latin1')) ? 'NFKC' : 'NFC'
  return {
    kib: memory / 1024,
    verify: async (password) =>
      timingSafeEqual(
        await scryptOf(password.normalize(form), salt, expected.byteLength, options),
        expected,
      ),
  }
}

/** PBKDF2 as a PHC string, and as Django writes it. Null: it is not PBKDF2. */
export function readPbkdf2(text: string): ReadableHash | HashFault | null {
  const [, digest, rounds, salt, stored] = PBKDF2.exec(text) ?? []
  if (digest && salt && stored)
    return pbkdf2Hash(digest, Number(rounds), [base64(salt), base64(stored)])
  const [, djangoDigest, djangoRounds, djangoSalt, djangoStored] = DJANGO_PBKDF2.exec(text) ?? []
  if (!djangoDigest || !djangoSalt || !djangoStored) return null
  const parts = [Buffer.from(djangoSalt), base64(djangoStored)] as const
  return pbkdf2Hash(djangoDigest, Number(djangoRounds), parts)
}

function pbkdf2Hash(
  digest: string,
  rounds: number,
  [salt, expected]: readonly [Buffer, Buffer],
): ReadableHash | HashFault {
  const most = PBKDF2_MOST[digest]
  if (rounds < 1 || !most?.bytes.includes(expected.byteLength)) return 'unknown_format'
  if (rounds > most.rounds) return 'too_costly'
  return {
    kib: 0,
    verify: async (password) =>
      timingSafeEqual(
        await pbkdf2Of(password, salt, rounds, expected.byteLength, digest),
        expected,
      ),
  }
}

function sha256Hex(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

/** passlib and its kin write `.` for `+`. */
function base64(text: string): Buffer {
  return Buffer.from(text.replaceAll('.', '+'), 'base64')
}
