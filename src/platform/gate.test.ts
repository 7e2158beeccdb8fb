// The gate: how many at once, how many in line, and nobody past the queue.

import { describe, expect, test } from 'bun:test'
import { createTestClock } from '../testing/clock.ts'
import { createGate, GateFull, GateLeft } from './gate.ts'

function pending() {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  return { work: () => promise, resolve, reject }
}

test('no more run at once than may, and the next ones in the order they came', async () => {
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

test('whoever finds the queue full is refused at once, and work that was refused never runs', async () => {
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

test('where nobody may wait, whoever finds all at work is refused', async () => {
  const gate = createGate({ running: 1, waiting: 0, patience: 1_000 }, createTestClock())
  const first = pending()
  const running = gate.run(first.work)
  expect(gate.hasRoom()).toBe(false)
  await expect(gate.run(async () => 'second')).rejects.toBeInstanceOf(GateFull)
  first.resolve('first')
  expect(await running).toBe('first')
  expect(gate.hasRoom()).toBe(true)
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

test('whoever waited too long is refused when the turn comes, and the next one has it', async () => {
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

test('whoever would wait too long at the recent pace is refused at once, before the queue is full', async () => {
  const clock = createTestClock()
  const limits = { running: 1, waiting: 100, patience: 60_000, foreseen: 2_000 }
  const gate = createGate(limits, clock)
  for (let i = 0; i < 50; i += 1) await gate.run(async () => clock.advance('1s'))
  const first = pending()
  const running = [gate.run(first.work)]
  for (let i = 0; i < 3; i += 1) running.push(gate.run(async () => 'in time'))
  await expect(gate.run(async () => 'late')).rejects.toBeInstanceOf(GateFull)
  expect(gate.waiting()).toBe(3)
  first.resolve('first')
  expect(await Promise.all(running)).toEqual(['first', 'in time', 'in time', 'in time'])
})

test('one slow piece of work does not set the pace', async () => {
  const clock = createTestClock()
  const limits = { running: 1, waiting: 100, patience: 60_000, foreseen: 2_000 }
  const gate = createGate(limits, clock)
  for (let i = 0; i < 50; i += 1) await gate.run(async () => clock.advance('1s'))
  await gate.run(async () => clock.advance('5s'))
  const first = pending()
  const running = [gate.run(first.work), gate.run(async () => 'second')]
  expect(gate.hasRoom()).toBe(true)
  first.resolve('first')
  expect(await Promise.all(running)).toEqual(['first', 'second'])
})

test('whoever leaves the queue is not served, and the others move up', async () => {
  const gate = createGate({ running: 1, waiting: 2, patience: 1_000 }, createTestClock())
  const [first, leaving] = [pending(), new AbortController()]
  const running = gate.run(first.work)
  let ran = false
  const work = async () => {
    ran = true
  }
  const left = gate.run(work, { signal: leaving.signal })
  const next = gate.run(async () => 'next', { signal: new AbortController().signal })
  leaving.abort()
  await expect(left).rejects.toBeInstanceOf(GateLeft)
  expect(gate.waiting()).toBe(1)
  first.resolve('first')
  expect(await Promise.all([running, next])).toEqual(['first', 'next'])
  expect([ran, gate.running(), gate.waiting()]).toEqual([false, 0, 0])
})

test('whoever leaves when the turn has come keeps it; whoever has left before is not let in', async () => {
  const gate = createGate({ running: 1, waiting: 2, patience: 1_000 }, createTestClock())
  const [first, leaving] = [pending(), new AbortController()]
  const running = gate.run(first.work, { signal: leaving.signal })
  leaving.abort()
  const late = gate.run(async () => 'late', { signal: leaving.signal })
  await expect(late).rejects.toBeInstanceOf(GateLeft)
  first.resolve('first')
  expect(await running).toBe('first')
  expect([gate.running(), gate.waiting()]).toEqual([0, 0])
})

describe('what is done before the turn', () => {
  const limits = { running: 1, waiting: 1, patience: 1_000 }

  test('takes no place from those who are ready, counts as waiting, and is not done for those who are refused', async () => {
    const gate = createGate(limits, createTestClock())
    const preparation = pending()
    let prepared = 0
    const before = async () => {
      prepared += 1
      await preparation.work()
    }
    const slow = gate.run(async () => 'slow', { before })
    expect(await gate.run(async () => 'ready')).toBe('ready')
    const second = gate.run(async () => 'second', { before })
    await expect(gate.run(async () => 'third', { before })).rejects.toBeInstanceOf(GateFull)
    expect([gate.running(), gate.waiting(), prepared]).toEqual([0, 2, 2])
    preparation.resolve('')
    expect(await Promise.all([slow, second])).toEqual(['slow', 'second'])
    expect([gate.running(), gate.waiting()]).toEqual([0, 0])
  })

  test('decides: if it fails, the work is not done', async () => {
    const gate = createGate(limits, createTestClock())
    let ran = false
    const work = async () => {
      ran = true
    }
    const before = () => Promise.reject(new Error('no'))
    await expect(gate.run(work, { before })).rejects.toThrow('no')
    expect([ran, gate.running(), gate.waiting()]).toEqual([false, 0, 0])
  })

  test('may show that a narrower gate is to be passed first: those who wait there leave this one to others', async () => {
    const gate = createGate({ ...limits, waiting: 2 }, createTestClock())
    const narrower = createGate(limits, createTestClock())
    const terms = { before: async () => {}, narrower: () => narrower }
    const [first, between] = [pending(), pending()]
    const large = [first.work, async () => 'second'].map((work) => gate.run(work, terms))
    await new Promise(setImmediate)
    const usual = gate.run(between.work, { narrower: () => null })
    first.resolve('first')
    expect(await large[0]).toBe('first')
    expect([gate.running(), gate.waiting(), narrower.running()]).toEqual([1, 1, 1])
    between.resolve('usual')
    expect(await Promise.all([usual, ...large])).toEqual(['usual', 'first', 'second'])
    expect([gate.running(), gate.waiting(), narrower.running()]).toEqual([0, 0, 0])
  })
})
