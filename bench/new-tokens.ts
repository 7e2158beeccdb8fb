// Access tokens that the server has never seen: the claims of a real one under other ids, signed with the server's own
// key, which only the secret of this run opens. Refreshing for them would take longer than all of the measurements.

import { createPrivateKey, sign } from 'node:crypto'
import { createClient } from '@libsql/client'
import { sealingKeysOf } from '../src/keys/keys.ts'
import { unseal } from '../src/keys/seal.ts'

/** Makes tokens like `model`, an ES256 token of the server with this database and secret. */
export async function makeTokens(
  count: number,
  model: string,
  { database, secret }: { database: string; secret: string },
): Promise<string[]> {
  const [header = '', payload = ''] = model.split('.')
  const key = createPrivateKey({
    key: await openKey(decode(header)['kid'], database, secret),
    format: 'jwk',
  })
  const claims = decode(payload)
  return Array.from({ length: count }, (_, n) => {
    const text = `${header}.${encode({ ...claims, jti: `jti_bench_${n}` })}`
    // RFC 7518 §3.4: the two numbers side by side, not DER.
    const signature = sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' })
    return `${text}.${signature.toString('base64url')}`
  })
}

async function openKey(kid: string | undefined, file: string, secret: string): Promise<JsonWebKey> {
  const client = createClient({ url: `file:${file}` })
  const sql = 'SELECT sealed_private_jwk AS sealed FROM signing_keys WHERE kid = ?'
  const { rows } = await client.execute({ sql, args: [kid ?? ''] })
  client.close()
  const [sealingKey] = sealingKeysOf([secret])
  const text = unseal(String(rows[0]?.['sealed'] ?? ''), sealingKey, kid ?? '')
  if (text === null) throw new Error('the signing key of this run does not open')
  return JSON.parse(text) as JsonWebKey
}

function decode(part: string): Record<string, string> {
  return JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, string>
}

function encode(claims: Record<string, unknown>): string {
  return Buffer.from(JSON.stringify(claims)).toString('base64url')
}
