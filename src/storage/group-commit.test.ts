// Group commit: what shares a transaction, and that nobody suffers or gains by it. The client is the real one, and counts its
// transactions; whole databases, with other processes at their locks, are in database.test.ts.

import { describe, expect, test } from 'bun:test'
import type { Client } from '@libsql/client'
import { createClient } from '@libsql/client'
import { AuthError } from '../errors.ts'
import { createGate, GateFull } from '../platform/gate.ts'
import { createTestClock } from '../testing/clock.ts'
import { createGroupCommit } from './group-commit.ts'
import type { Statement } from './statement.ts'

const LATER = Number.MAX_SAFE_INTEGER
const insert = (id: number): Statement => ({
  sql: 'INSERT INTO t (id) VALUES (?) RETURNING id',
  args: [id],
})
const insertAll = (ids: readonly number[]) => ids.map(insert)
const numbers = (count: number, from = 1) => Array.from({ length: count }, (_, i) => from + i)

/** A group commit on a database of its own, and what it has tried to execute: size and deadline of each transaction. */
async function open({ failing, slow = false }: { failing?: Error; slow?: boolean } = {}) {
  const client: Client = createClient({ url: ':memory:' })
  await client.execute('CREATE TABLE t (id INTEGER PRIMARY KEY, CHECK (id < 1000000))')
  const clock = createTestClock()
  const writes = createGate({ running: 1, waiting: 100, patience: 1_500 }, clock)
  const transactions: number[] = []
  const patience: number[] = []
  const group = createGroupCommit({
    clock,
    writes,
    async execute(statements, deadline) {
      transactions.push(statements.length)
      patience.push(deadline)
      if (failing) throw failing
      if (slow) clock.advance('1s')
      return await client.batch([...statements], 'write')
    },
  })
  const commit = (statements: readonly Statement[], deadline = LATER) =>
    group.commit(statements, deadline)
  const ids = async () =>
    (await client.execute('SELECT id FROM t ORDER BY id')).rows.map(({ id }) => id)
  return { clock, writes, transactions, patience, commit, ids }
}

const statusOf = async (commits: readonly Promise<unknown>[]) =>
  (await Promise.allSettled(commits)).map(({ status }) => status[0]).join('')

describe('writes that arrive together', () => {
  test('share one transaction, and each gets what its own statements returned', async () => {
    const { commit, transactions, ids } = await open()
    const commits = [commit([insert(1)]), commit(insertAll([2, 3])), commit([insert(4)])]
    const rows = (await Promise.all(commits)).map((results) =>
      results.map((result) => result.rows[0]?.['id']),
    )
    expect(rows).toEqual([[1], [2, 3], [4]])
    expect(transactions).toEqual([4])
    expect(await ids()).toEqual([1, 2, 3, 4])
  })

  test('are committed in the order in which they arrived', async () => {
    const { commit } = await open()
    const replace = (id: number) => ({
      sql: 'UPDATE t SET id = ? WHERE id = ?',
      args: [id + 1, id],
    })
    const first = commit([insert(1)])
    const replaced = await Promise.all(numbers(20).map((id) => commit([replace(id)])))
    await first
    expect(replaced.map(([result]) => result?.rowsAffected)).toEqual(Array(20).fill(1))
  })

  test('may come one after the other, within one turn of the event loop', async () => {
    const { commit, transactions } = await open()
    const commits: Promise<unknown>[] = []
    for (const id of numbers(20)) {
      commits.push(commit([insert(id)]))
      await null
    }
    await Promise.all(commits)
    expect(transactions).toEqual([20])
  })

  test('are 64 at most; the others follow at once', async () => {
    const { commit, transactions } = await open()
    await Promise.all(numbers(150).map((id) => commit([insert(id)])))
    expect(transactions).toEqual([64, 64, 22])
  })

  test('wait for a writer at work, and go together when it has done', async () => {
    const { commit, writes, transactions } = await open()
    const busy = Promise.withResolvers<void>()
    const other = writes.run(() => busy.promise)
    const first = commit([insert(1)])
    await new Promise(setImmediate)
    const second = commit([insert(2)])
    await new Promise(setImmediate)
    expect([transactions, writes.waiting()]).toEqual([[], 1])
    busy.resolve()
    await Promise.all([other, first, second])
    expect(transactions).toEqual([2])
  })
})

describe('one that is refused', () => {
  test.each([
    ['by a unique index', [1, 2, 2, 3]],
    ['by a constraint', [1, 2, 1_000_000, 3]],
  ])('%s fails alone: the others are committed one by one', async (_, wanted) => {
    const { commit, transactions, ids } = await open()
    expect(await statusOf(wanted.map((id) => commit([insert(id)])))).toBe('ffrf')
    expect(transactions).toEqual([4, 1, 1, 1, 1])
    expect(await ids()).toEqual([1, 2, 3])
  })

  test('is not the reason that others get who are too late to be executed alone', async () => {
    const { clock, commit, ids } = await open({ slow: true })
    const soon = clock.elapsed() + 1_500
    const commits = [commit(insertAll([1, 1])), commit([insert(2)]), commit([insert(3)], soon)]
    expect(await statusOf(commits)).toBe('rfr')
    await expect(commits[0]).rejects.toThrow('UNIQUE')
    await expect(commits[2]).rejects.toBeInstanceOf(AuthError)
    expect(await ids()).toEqual([2])
  })

  test('and came alone is not executed again', async () => {
    const { commit, transactions } = await open()
    expect(await statusOf([commit(insertAll([1, 1]))])).toBe('r')
    expect(transactions).toEqual([2])
  })

  test('leaves nothing of itself', async () => {
    const { commit, ids } = await open()
    const commits = [commit([insert(1)]), commit(insertAll([5, 6, 1])), commit([insert(2)])]
    expect(await statusOf(commits)).toBe('frf')
    expect(await ids()).toEqual([1, 2])
  })
})

const failure = (properties: object) => Object.assign(new Error('failed'), properties)

test.each([
  ['an answer that did not come', failure({ code: 'ECONNRESET' })],
  ['a server that failed', failure({ code: 'SERVER_ERROR', status: 500 })],
  ['a disk that failed', failure({ code: 'SQLITE_IOERR' })],
])('%s is told to all, and nothing is executed again: nobody knows', async (_, failing) => {
  const { commit, transactions } = await open({ failing })
  const commits = [1, 2, 3].map((id) => commit([insert(id)]))
  expect(await statusOf(commits)).toBe('rrr')
  expect(transactions).toEqual([3])
})

test.each([
  ['could not read', failure({ code: 'SERVER_ERROR', status: 400 })],
  ['was too busy for', failure({ code: 'SERVER_ERROR', status: 500, message: 'SQLITE_BUSY' })],
])('what a server %s was not executed, and is sent again one by one', async (_, failing) => {
  const { commit, transactions } = await open({ failing })
  expect(await statusOf([1, 2, 3].map((id) => commit([insert(id)])))).toBe('rrr')
  expect(transactions).toEqual([3, 1, 1, 1])
})

test('where no write waits, none stands in line', async () => {
  const { commit, writes } = await open()
  await commit([insert(1)])
  await new Promise(setImmediate)
  const other = Promise.withResolvers<void>()
  const first = writes.run(() => other.promise)
  await new Promise(setImmediate)
  expect([writes.running(), writes.waiting()]).toEqual([1, 0])
  other.resolve()
  await first
})

describe('a write that waits', () => {
  test('beyond a deadline is refused, with nothing executed; the others are not', async () => {
    const { clock, commit, ids } = await open()
    const commits = [
      commit([insert(1)]),
      commit([insert(2)], clock.elapsed() + 10),
      commit([insert(3)]),
    ]
    clock.advance('1s')
    expect(await statusOf(commits)).toBe('frf')
    await expect(commits[1]).rejects.toBeInstanceOf(AuthError)
    expect(await ids()).toEqual([1, 3])
  })

  test('with others is tried for until the first of their deadlines', async () => {
    const { clock, commit, patience } = await open()
    const now = clock.elapsed()
    await Promise.all([2, 1, 3].map((id) => commit([insert(id)], now + id)))
    expect(patience).toEqual([now + 1])
  })

  test('behind a thousand is refused at once', async () => {
    const { commit } = await open()
    const commits = numbers(1_000).map((id) => commit([insert(id)]))
    await expect(commit([insert(1_001)])).rejects.toBeInstanceOf(GateFull)
    expect(await statusOf(commits)).toBe('f'.repeat(1_000))
  })

  test('for a gate that is full is refused at once', async () => {
    const { commit, writes } = await open()
    const busy = Promise.withResolvers<void>()
    const others = numbers(101).map(() => writes.run(() => busy.promise))
    const commits = [commit([insert(1)]), commit([insert(2)])]
    expect(await statusOf(commits)).toBe('rr')
    await expect(commits[0]).rejects.toBeInstanceOf(GateFull)
    busy.resolve()
    await Promise.all(others)
    expect(await statusOf([commit([insert(3)])])).toBe('f')
  })

  test('for a writer that does not end is refused by its deadline, and one that came later waits on', async () => {
    const { clock, commit, writes, ids } = await open()
    const busy = Promise.withResolvers<void>()
    const other = writes.run(() => busy.promise)
    const early = commit([insert(1)], clock.elapsed() + 1_500)
    await new Promise(setImmediate)
    clock.advance('1s')
    const busyToo = Promise.withResolvers<void>()
    const next = writes.run(() => busyToo.promise)
    const later = commit([insert(2)], clock.elapsed() + 1_500)
    clock.advance('1s')
    busy.resolve()
    await other
    await expect(early).rejects.toThrow()
    busyToo.resolve()
    await Promise.all([next, later])
    expect(await ids()).toEqual([2])
  })
})
