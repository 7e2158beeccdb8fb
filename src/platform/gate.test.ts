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
  const limits = { running: 2, waiting: 100, patience: 60_000, foreseen: 2_000 }
  const gate = createGate(limits, clock)
  for (let i = 0; i < 50; i += 1) await gate.run(async () => clock.advance('1s'))
  const atWork = pending()
  const running = [gate.run(atWork.work), gate.run(atWork.work)]
  for (let i = 0; i < 5; i += 1) running.push(gate.run(async () => 'in time'))
  await expect(gate.run(async () => 'late')).rejects.toBeInstanceOf(GateFull)
  expect(gate.waiting()).toBe(5)
  atWork.resolve('first')
  expect(await Promise.all(running)).toEqual(['first', 'first', ...Array(5).fill('in time')])
})

test('however slow the work is, a free place is taken, and one that is not in time for the next is refused at once', async () => {
  const clock = createTestClock()
  const limits = { running: 2, waiting: 100, patience: 2_000, foreseen: 500 }
  const gate = createGate(limits, clock)
  for (let i = 0; i < 50; i += 1) await gate.run(async () => clock.advance('10s'))
  const [preparation, atWork] = [pending(), pending()]
  const running = [gate.run(atWork.work, { before: preparation.work }), gate.run(atWork.work)]
  await expect(gate.run(async () => 'late')).rejects.toBeInstanceOf(GateFull)
  preparation.resolve('')
  atWork.resolve('first')
  expect(await Promise.all(running)).toEqual(['first', 'first'])
})

test('one slow piece of work does not set the pace', async () => {
  const clock = createTestClock()
  const limits = { running: 1, waiting: 100, patience: 60_000, foreseen: 4_000 }
  const gate = createGate(limits, clock)
  for (let i = 0; i < 50; i += 1) await gate.run(async () => clock.advance('1s'))
  await gate.run(async () => clock.advance('5s'))
  const first = pending()
  const running = [gate.run(first.work), gate.run(async () => '2'), gate.run(async () => '3')]
  expect(gate.hasRoom()).toBe(true)
  first.resolve('1')
  expect(await Promise.all(running)).toEqual(['1', '2', '3'])
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

describe('where there is no room', () => {
  /** A gate with one at work, to be ended by `open`, and the works of others, each with its outcome: the caller's name, or `full`. */
  function crowded(waiting: number) {
    const gate = createGate({ running: 1, waiting, patience: 1_000 }, createTestClock())
    const atWork = pending()
    const working = gate.run(atWork.work, { caller: 'at work' })
    const ask = (caller: string, before?: () => Promise<unknown>) =>
      gate
        .run(async () => caller, { caller, before })
        .catch((error) => (error instanceof GateFull ? 'full' : Promise.reject(error)))
    const open = async () => {
      atWork.resolve('')
      await working
    }
    return { gate, ask, open }
  }
  const times = <T>(count: number, make: () => T) => Array.from({ length: count }, make)

  test('a caller who has taken all of it yields the newest places to one who comes alone', async () => {
    const { gate, ask, open } = crowded(4)
    const greedy = times(6, () => ask('greedy'))
    expect([gate.hasRoom('greedy'), gate.hasRoom('alone')]).toEqual([false, true])
    const alone = ask('alone')
    expect(gate.waiting()).toBe(4)
    await open()
    expect(await Promise.all(greedy)).toEqual([
      'greedy',
      'greedy',
      'greedy',
      'full',
      'full',
      'full',
    ])
    expect(await alone).toBe('alone')
    expect([gate.running(), gate.waiting()]).toEqual([0, 0])
  })

  test('two may wait where the work is slower than is foreseen, so that the one caller yields to the other', async () => {
    const clock = createTestClock()
    const limits = { running: 1, waiting: 100, patience: 2_000, foreseen: 500 }
    const gate = createGate(limits, clock)
    for (let i = 0; i < 50; i += 1) await gate.run(async () => clock.advance('1s'))
    const end = crowd(gate)
    expect(gate.waiting()).toBe(2)
    const alone = gate.run(async () => 'alone', { caller: 'alone' })
    await end()
    expect(await alone).toBe('alone')
  })

  test('callers get equal shares, however many times each of them asks', async () => {
    const { ask, open } = crowded(6)
    const asked = ['a', 'b', 'c'].flatMap((caller) => times(20, () => ask(caller)))
    await open()
    const served = (await Promise.all(asked)).filter((outcome) => outcome !== 'full')
    expect(served.toSorted()).toEqual(['a', 'a', 'b', 'b', 'c', 'c'])
  })

  test('nobody yields to a caller who would then have as many, or who does not say who it is', async () => {
    const { gate, ask, open } = crowded(2)
    const equal = [ask('a'), ask('b')]
    expect(gate.hasRoom('c')).toBe(false)
    expect(await ask('c')).toBe('full')
    await open()
    expect(await Promise.all(equal)).toEqual(['a', 'b'])
    expect(gate.hasRoom()).toBe(true)
  })

  test('places whose work is still being prepared are yielded, too', async () => {
    const { gate, ask, open } = crowded(3)
    const preparation = pending()
    const greedy = times(3, () => ask('greedy', preparation.work))
    expect(gate.hasRoom('alone')).toBe(true)
    const alone = times(2, () => ask('alone'))
    expect(gate.waiting()).toBe(3)
    await open()
    expect(await Promise.all(alone)).toEqual(['alone', 'full'])
    // Nobody looks at the refusal yet, and one that nobody looks at within a turn of the event loop would end the process.
    await new Promise(setImmediate)
    preparation.resolve('')
    expect(await Promise.all(greedy)).toEqual(['greedy', 'greedy', 'full'])
    expect([gate.running(), gate.waiting()]).toEqual([0, 0])
  })

  test('work that had to yield while it was prepared does not go on through a narrower gate', async () => {
    const { gate, ask, open } = crowded(2)
    const narrower = createGate({ running: 1, waiting: 1, patience: 1_000 }, createTestClock())
    const preparation = pending()
    let ran = 0
    const work = async () => {
      ran += 1
    }
    const terms = { caller: 'greedy', before: preparation.work, narrower: () => narrower }
    const greedy = Promise.allSettled(times(2, () => gate.run(work, terms)))
    const alone = ask('alone')
    preparation.resolve('')
    await open()
    expect((await greedy).map(({ status }) => status)).toEqual(['fulfilled', 'rejected'])
    expect([await alone, ran, gate.waiting(), narrower.waiting()]).toEqual(['alone', 1, 0, 0])
  })

  test('a caller who has taken all of a narrower gate yields there, too', async () => {
    const gate = createGate({ running: 1, waiting: 9, patience: 1_000 }, createTestClock())
    const narrower = createGate({ running: 1, waiting: 2, patience: 1_000 }, createTestClock())
    const atWork = pending()
    const ask = (caller: string) => gate.run(atWork.work, { caller, narrower: () => narrower })
    const greedy = Promise.allSettled(times(3, () => ask('greedy')))
    const alone = ask('alone')
    atWork.resolve('done')
    expect((await greedy).map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
    ])
    expect(await alone).toBe('done')
  })

  test('whoever left, was refused or was served holds nothing any more', async () => {
    const clock = createTestClock()
    const gate = createGate({ running: 1, waiting: 2, patience: 1_000 }, clock)
    const [atWork, leaving] = [pending(), new AbortController()]
    const working = gate.run(atWork.work)
    const left = gate.run(async () => 'left', { caller: 'a', signal: leaving.signal })
    const late = gate.run(async () => 'late', { caller: 'a' })
    leaving.abort()
    await expect(left).rejects.toBeInstanceOf(GateLeft)
    clock.advance('2s')
    const inTime = gate.run(async () => 'in time', { caller: 'b' })
    atWork.resolve('')
    await working
    await expect(late).rejects.toBeInstanceOf(GateFull)
    expect(await inTime).toBe('in time')
    const next = crowd(gate)
    expect([gate.hasRoom('a'), gate.hasRoom('b'), gate.hasRoom('c')]).toEqual([true, true, true])
    await next()
  })

  /** One caller takes everything; returns how to end it. */
  function crowd(gate: ReturnType<typeof createGate>) {
    const atWork = pending()
    const all = times(3, () => gate.run(atWork.work, { caller: 'greedy' }))
    return async () => {
      atWork.resolve('')
      await Promise.allSettled(all)
    }
  }
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

  test('whoever leaves the line of a narrower gate makes room there at once', async () => {
    const gate = createGate(limits, createTestClock())
    const narrower = createGate(limits, createTestClock())
    const [atWork, leaving] = [pending(), new AbortController()]
    const terms = { narrower: () => narrower }
    const working = gate.run(atWork.work, terms)
    const left = gate.run(atWork.work, { ...terms, signal: leaving.signal })
    await new Promise(setImmediate)
    leaving.abort()
    expect(narrower.hasRoom()).toBe(true)
    await expect(left).rejects.toBeInstanceOf(GateLeft)
    atWork.resolve('')
    await working
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
