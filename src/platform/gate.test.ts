// The gate: how many at once, how many in line, and nobody past the queue.

import { expect, test } from 'bun:test'
import { createTestClock } from '../testing/clock.ts'
import { createGate, GateFull } from './gate.ts'

function pending() {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  return { work: () => promise, resolve, reject }
}

test('at most so many run at once, the next ones in the order they came', async () => {
  const gate = createGate({ running: 2, waiting: 10, patience: 1_000 }, createTestClock())
  const order: number[] = []
  let most = 0
  await Promise.all(
    Array.from({ length: 10 }, (_, i) =>
      gate.run(async () => {
        most = Math.max(most, gate.running())
        await Bun.sleep(0)
        order.push(i)
      }),
    ),
  )
  expect(most).toBe(2)
  expect(order).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  expect([gate.running(), gate.waiting()]).toEqual([0, 0])
})

test('who finds the queue full is refused at once, and work that was refused never runs', async () => {
  const gate = createGate({ running: 1, waiting: 1, patience: 1_000 }, createTestClock())
  const [first, second] = [pending(), pending()]
  const running = [gate.run(first.work), gate.run(second.work)]
  let ran = false
  const refused = gate.run(async () => {
    ran = true
  })
  await expect(refused).rejects.toBeInstanceOf(GateFull)
  expect([gate.running(), gate.waiting(), ran]).toEqual([1, 1, false])
  first.resolve('1')
  second.resolve('2')
  expect(await Promise.all(running)).toEqual(['1', '2'])
})

test('a place is given back by work that fails', async () => {
  const gate = createGate({ running: 1, waiting: 1, patience: 1_000 }, createTestClock())
  const first = pending()
  const failing = gate.run(first.work)
  const next = gate.run(async () => 'next')
  first.reject(new Error('no'))
  await expect(failing).rejects.toThrow('no')
  expect(await next).toBe('next')
  expect(gate.running()).toBe(0)
})

test('who waited too long is refused when the turn comes, and the next one has it', async () => {
  const clock = createTestClock()
  const gate = createGate({ running: 1, waiting: 2, patience: 1_000 }, clock)
  const first = pending()
  const running = gate.run(first.work)
  let ran = false
  const late = gate.run(async () => {
    ran = true
  })
  clock.advance('2s')
  const inTime = gate.run(async () => 'in time')
  first.resolve('1')
  await running
  await expect(late).rejects.toBeInstanceOf(GateFull)
  expect(await inTime).toBe('in time')
  expect([ran, gate.running(), gate.waiting()]).toEqual([false, 0, 0])
})
