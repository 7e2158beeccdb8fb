// The heartbeat: how long the database stood still, as a replica that serves has seen it.

import { expect, test } from 'bun:test'
import { createMetrics } from '../observability/metrics.ts'
import { createTestApp } from '../testing/app.ts'
import type { Database } from './database.ts'
import { StorageFault } from './faults.ts'
import { createHeartbeat } from './heartbeat.ts'
import { heartbeats } from './table.ts'

/** A heartbeat on a database whose writes take as long as they are told to, and succeed or fail; `another`: of a later start. */
async function open() {
  const { database, clock, random, metrics } = await createTestApp()
  let next: { seconds: number; succeeds: boolean } = { seconds: 0, succeeds: true }
  const slow: Database = {
    ...database,
    async commit(statements) {
      clock.advance(`${next.seconds}s`)
      if (!next.succeeds) throw new StorageFault('busy', 'SQLITE_BUSY')
      return await database.commit(statements)
    },
  }
  const another = () => createHeartbeat(slow, { clock, random, metrics: createMetrics('test') })
  const heartbeat = createHeartbeat(slow, { clock, random, metrics })
  const began = clock.now()
  const beat = async (seconds: number, succeeds = true) => {
    next = { seconds, succeeds }
    await heartbeat.beat()
  }
  return { database, clock, heartbeat, another, began, beat }
}

test('of a standstill that began before the given moment, only what came after it counts', async () => {
  const { clock, heartbeat, began, beat } = await open()
  await beat(0)
  await beat(40, false)
  await beat(0)
  expect(heartbeat.stoodStill(began)).toBe(40_000)
  expect(heartbeat.stoodStill(began + 30_000)).toBe(10_000)
  expect(heartbeat.stoodStill(clock.now())).toBe(0)
})

test('a standstill begins where the last successful write began, and not where that ended', async () => {
  const { heartbeat, began, beat } = await open()
  await beat(0)
  await beat(2)
  await beat(40, false)
  await beat(0)
  expect(heartbeat.stoodStill(began)).toBe(42_000)
})

test('of a hundred and one standstills the first is forgotten', async () => {
  const { heartbeat, began, beat } = await open()
  await beat(0)
  for (let round = 0; round < 101; round += 1) {
    await beat(4, false)
    await beat(0)
  }
  expect(heartbeat.stoodStill(began)).toBe(400_000)
})

test('while it lasts, a standstill counts until now; three seconds are none', async () => {
  const { clock, heartbeat, began, beat } = await open()
  await beat(0)
  clock.advance('3s')
  expect(heartbeat.stoodStill(began)).toBe(0)
  clock.advance('1s')
  expect(heartbeat.stoodStill(began)).toBe(4_000)
})

test('no second counts twice, however slow the writes are that succeed', async () => {
  const { clock, heartbeat, began, beat } = await open()
  await beat(0)
  for (let round = 0; round < 20; round += 1) {
    await beat(2, false)
    await beat(2)
  }
  expect(heartbeat.stoodStill(began)).toBe(clock.now() - began)
})

test('to a replica that starts, the time in which nobody has written is a standstill', async () => {
  const { clock, another, began, beat } = await open()
  await beat(0)
  clock.advance('40s')
  const later = another()
  await later.beat()
  expect(later.stoodStill(began)).toBe(40_000)
  clock.advance('3s')
  await later.beat()
  expect(later.stoodStill(began)).toBe(40_000)
})

test('the same time is one to a replica that starts after the first, also when that has written again', async () => {
  const { clock, another, began, beat } = await open()
  await beat(0)
  clock.advance('40s')
  const first = another()
  await first.beat()
  clock.advance('1s')
  await first.beat()
  const second = another()
  await second.beat()
  expect(second.stoodStill(began)).toBe(40_000)
})

test('a standstill that ends in the future, by a clock that was wrong, is none', async () => {
  const { database, clock, another, began } = await open()
  const [from, to] = [began, began + 3_600_000]
  const rows = [from, from, to].map((at, index) => ({ id: index + 1, at }))
  await database.write((db) => db.insert(heartbeats).values(rows))
  clock.advance('1s')
  const later = another()
  await later.beat()
  expect(later.stoodStill(began)).toBe(0)
})

test('to a replica that starts beside others there is none', async () => {
  const { clock, another, began, beat } = await open()
  await beat(0)
  clock.advance('3s')
  const later = another()
  await later.beat()
  expect(later.stoodStill(began)).toBe(0)
})

test('before the first write of all there is no standstill', async () => {
  const { clock, heartbeat, began, beat } = await open()
  await beat(40, false)
  expect(heartbeat.stoodStill(began)).toBe(0)
  await beat(0)
  expect(heartbeat.stoodStill(began)).toBe(0)
  clock.advance('1s')
  expect(heartbeat.stoodStill(began)).toBe(0)
})

test('of the writes that wait for their turn, a beat goes with the first', async () => {
  const { database, clock, random } = await createTestApp()
  const heartbeat = createHeartbeat(database, { clock, random, metrics: createMetrics('test') })
  await heartbeat.beat()
  clock.advance('2s')
  const [begun, end] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const writer = database.write(() => {
    begun.resolve()
    return end.promise
  })
  await begun.promise
  const first = database.commit([{ sql: 'DELETE FROM throttles', args: [] }])
  await new Promise(setImmediate)
  const slow = database.write(async () => clock.advance('2s'))
  const beat = heartbeat.beat()
  end.resolve()
  await Promise.all([writer, first, slow, beat])
  expect(heartbeat.alive()).toBe(true)
})
