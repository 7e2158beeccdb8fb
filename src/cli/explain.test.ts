// What a failed command means to a person: the sentence and the exit code, and never what it failed with.

import { expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AuthError } from '../errors.ts'
import { connect } from '../storage/database.ts'
import { StorageFault } from '../storage/faults.ts'
import { explain } from './explain.ts'

async function failure(work: () => Promise<unknown>): Promise<unknown> {
  try {
    await work()
  } catch (error) {
    return error
  }
  throw new Error('it did not fail')
}

const read = (path: string) => async () => {
  const client = connect({ url: `file:${path}` })
  await client.execute('SELECT 1 FROM sqlite_schema')
}

test('a user who is gone is no fault of the database', () => {
  expect(explain(new AuthError('NOT_FOUND'))).toEqual({
    message: 'munjigi: this user no longer exists; nothing was done',
    exitCode: 1,
  })
})

test('an operator reads English, and the reason', () => {
  const { message, exitCode } = explain(new AuthError('WEAK_PASSWORD', { reason: 'common' }))
  expect(message).toMatch(/^munjigi: [ -~]+ \(common\)$/)
  expect(exitCode).toBe(1)
})

test('a folder in the place of a file is reported as one', async () => {
  await using folder = await open(tmpdir(), 'r')
  const error = await failure(() => folder.read(Buffer.alloc(1)))
  expect(explain(error)).toEqual({ message: 'munjigi: cannot read (EISDIR)', exitCode: 69 })
})

test('a full disk is reported as one, and a file by its path', async () => {
  const full = Object.assign(new Error('hunter2'), { syscall: 'write', code: 'ENOSPC' })
  expect(explain(full)).toEqual({ message: 'munjigi: cannot write (ENOSPC)', exitCode: 69 })
  const missing = await failure(() => open('/no/such/file'))
  expect(explain(missing)).toEqual({
    message: 'munjigi: cannot use /no/such/file (ENOENT)',
    exitCode: 69,
  })
})

test("a file that is no database, or may not be opened, is reported by SQLite's code", async () => {
  const folder = mkdtempSync(join(tmpdir(), 'munjigi-explain-'))
  const garbage = join(folder, 'hunter2.db')
  writeFileSync(garbage, 'no database at all. '.repeat(1_000))
  const failed = [await failure(read(garbage)), await failure(read(folder))]
  expect(failed.map(explain)).toEqual([
    { message: 'munjigi: the database failed: other (SQLITE_NOTADB)', exitCode: 69 },
    { message: 'munjigi: the database failed: unreachable (SQLITE_CANTOPEN)', exitCode: 69 },
  ])
  rmSync(folder, { recursive: true })
})

test('a database whose folder nobody may write to says which setting names it', () => {
  const message = (detail: string) => explain(new StorageFault('unreachable', detail)).message
  for (const detail of ['EACCES', 'SQLITE_CANTOPEN', 'SQLITE_READONLY_DIRECTORY'])
    expect(message(detail)).toBe(
      `munjigi: cannot use the database: unreachable (${detail}). If MUNJIGI_DATABASE_URL is a file, its folder must be writable for the user who runs this.`,
    )
  expect(message('ECONNREFUSED')).toBe(
    'munjigi: cannot use the database: unreachable (ECONNREFUSED)',
  )
})

test('a fault of ours is reported by its kind and its place', () => {
  const { message, exitCode } = explain(new TypeError('hunter2'))
  expect([message, exitCode]).toEqual([
    expect.stringMatching(/^munjigi: unexpected failure: TypeError\n {2}at /),
    70,
  ])
  expect(message).not.toContain('hunter2')
})
