// `munjigi secrets FOLDER`: makes what a deployment with a libSQL server needs and nobody should choose: the secret, and a
// token for the database. What is there stays. The replicas get `munjigi/`, the database server `database/`, nobody `private/`.

import { createPrivateKey, createPublicKey, sign } from 'node:crypto'
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { nameBeside, putInPlace } from '../platform/place-file.ts'
import type { Random } from '../platform/random.ts'
import { keepFile } from './keep-file.ts'
import { newSecret } from './kept-secret.ts'

/** Where everything is. */
export interface SecretFiles {
  /** For `MUNJIGI_SECRET_FILE`. */
  readonly secret: string
  /** For `MUNJIGI_DATABASE_AUTH_TOKEN_FILE`. */
  readonly databaseToken: string
  /** For sqld's `--auth-jwt-key-file`: public, and all that sqld needs to check the token. */
  readonly databaseKey: string
}

/**
 * Makes what is missing under `folder`, and tells which paths are new. Safe to repeat, and for two at once: the secret and
 * the database's private key are made once, token and public key follow from that key to the byte.
 */
export async function makeSecrets(
  folder: string,
  random: Random,
): Promise<{ files: SecretFiles; made: readonly string[] }> {
  const files = {
    secret: join(folder, 'munjigi', 'secret'),
    databaseToken: join(folder, 'munjigi', 'database-token'),
    databaseKey: join(folder, 'database', 'key.pem'),
  }
  const privateKey = join(folder, 'private', 'database-key')
  const made = [
    (await keepFile(files.secret, random, () => newSecret(random))).isNew && files.secret,
    (await keepFile(privateKey, random, () => newKey(random))).isNew && privateKey,
  ]
  const key = createPrivateKey(readFileSync(privateKey, 'utf8'))
  const publicKey = createPublicKey(key).export({ type: 'spki', format: 'pem' }).toString()
  made.push(
    (await putFile(files.databaseKey, publicKey, 0o644, random)) && files.databaseKey,
    (await putFile(files.databaseToken, databaseToken(key), 0o600, random)) && files.databaseToken,
  )
  return { files, made: made.filter((path) => path !== false) }
}

/** The command. */
export async function secrets(folder: string, random: Random): Promise<void> {
  const { made } = await makeSecrets(folder, random)
  for (const path of made) console.log(`made ${path}`)
  if (made.length === 0) console.log(`all secrets are in ${folder}`)
}

/** RFC 8410: an Ed25519 key is these bytes and 32 random ones. */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex')

function newKey(random: Random): string {
  const der = Buffer.concat([PKCS8, random.bytes(32)])
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  return key.export({ type: 'pkcs8', format: 'pem' }).toString().trim()
}

/** `a: rw` is sqld's word for all rights. It does not expire: a new key, hence a new token, is the way to end it. */
function databaseToken(key: ReturnType<typeof createPrivateKey>): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ alg: 'EdDSA', typ: 'JWT' })}.${part({ a: 'rw' })}`
  return `${text}.${sign(null, Buffer.from(text), key).toString('base64url')}`
}

/** Writes a file unless it holds this text already. Returns whether it was written. */
async function putFile(path: string, text: string, mode: number, random: Random): Promise<boolean> {
  if (existsSync(path) && readFileSync(path, 'utf8') === text) return false
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 })
  const draft = nameBeside(path, 'partial', random)
  writeFileSync(draft, text, { mode: 0o600, flag: 'wx' })
  chmodSync(draft, mode)
  await putInPlace(draft, path)
  return true
}
