import { afterEach, beforeEach, expect, test } from 'bun:test'
import { createPublicKey, verify } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { systemRandom } from '../platform/random.ts'
import { keepFile } from './keep-file.ts'
import { makeSecrets } from './secrets.ts'

let folder = ''
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'munjigi-secrets-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

const make = () => makeSecrets(folder, systemRandom)
const read = (path: string) => readFileSync(path, 'utf8')

test('what is missing is made, readable by its owner only but for the public key', async () => {
  const { files, made } = await make()
  expect(made).toHaveLength(4)
  expect(read(files.secret).trim()).toMatch(/^[\w-]{64}$/)
  const modes = made.map((path) => (statSync(path).mode & 0o777).toString(8))
  expect(modes).toEqual(['600', '600', '644', '600'])
  expect(statSync(dirname(files.secret)).mode & 0o777).toBe(0o700)
})

test('the token is signed with the key whose public half the database gets', async () => {
  const { files } = await make()
  const [header = '', payload = '', signature = ''] = read(files.databaseToken).split('.')
  expect(JSON.parse(Buffer.from(payload, 'base64url').toString())).toEqual({ a: 'rw' })
  const signed = Buffer.from(`${header}.${payload}`)
  const key = createPublicKey(read(files.databaseKey))
  expect(verify(null, signed, key, Buffer.from(signature, 'base64url'))).toBe(true)
})

test('what is there stays, and a lost token or public key is made again, to the byte', async () => {
  const { files } = await make()
  const before = Object.values(files).map(read)
  expect((await make()).made).toEqual([])
  rmSync(files.databaseToken)
  writeFileSync(files.databaseKey, 'cut off in the mid')
  expect((await make()).made).toEqual([files.databaseKey, files.databaseToken])
  expect(Object.values(files).map(read)).toEqual(before)
})

test('eight at once agree on one set', async () => {
  const main = join(import.meta.dir, '..', 'main.ts')
  const all = Array.from({ length: 8 }, () =>
    Bun.spawn([process.execPath, '--no-env-file', main, 'secrets', folder], { stdout: 'pipe' }),
  )
  const said = await Promise.all(all.map(({ stdout }) => new Response(stdout).text()))
  expect(await Promise.all(all.map(({ exited }) => exited))).toEqual(Array(8).fill(0))
  const makers = said.filter((text) => text.includes('/munjigi/secret\n'))
  expect(makers).toHaveLength(1)
  const { files, made } = await make()
  expect(made).toEqual([])
  expect(statSync(files.databaseKey).mode & 0o777).toBe(0o644)
}, 60_000)

test('of twenty who make one file at once, each has what it holds', async () => {
  const path = join(folder, 'secret')
  const make = (text: string) => keepFile(path, systemRandom, () => text)
  const kept = await Promise.all(Array.from({ length: 20 }, (_, i) => make(`text ${i}`)))
  expect(new Set(kept.map(({ text }) => text))).toEqual(new Set([read(path).trim()]))
  expect(kept.filter(({ isNew }) => isNew)).toHaveLength(1)
})

test('a secret that was emptied is a fault by its path, and stays for somebody to look at', async () => {
  const { files } = await make()
  writeFileSync(files.secret, '')
  await expect(make()).rejects.toThrow(`${files.secret}: is empty`)
  expect(read(files.secret)).toBe('')
})
