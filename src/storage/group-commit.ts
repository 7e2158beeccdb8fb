// Group commit: writes that arrive together, or wait for the writer together, share one transaction. They would follow each
// other in any case, and what costs most is the commit: a disk that must confirm, a server that must answer. Each is
// answered when all of it is durable, and stands alone when one of them is refused.

import type { ResultSet } from '@libsql/client'
import { AuthError } from '../errors.ts'
import type { Clock } from '../platform/clock.ts'
import type { Gate } from '../platform/gate.ts'
import { GateFull } from '../platform/gate.ts'
import type { Statement } from './statement.ts'

/** Commits statements together with those of others. `deadline`: by the clock's `elapsed`. */
export interface GroupCommit {
  /** All of them or none. Throws `GateFull`, `SERVICE_UNAVAILABLE`, and what the driver throws. */
  commit(statements: readonly Statement[], deadline: number): Promise<readonly ResultSet[]>
}

/** How statements are executed. */
export interface GroupCommitOptions {
  readonly clock: Clock
  /** The one writer's. */
  readonly writes: Gate
  /** Executes all in one transaction, once. */
  execute(statements: readonly Statement[], deadline: number): Promise<readonly ResultSet[]>
  /** The same, again and again while the database is busy. */
  insist(statements: readonly Statement[], deadline: number): Promise<readonly ResultSet[]>
  /** Whether an error of `execute` says that nothing was executed. */
  wasRefused(error: unknown): boolean
}

/** So many share a transaction: beyond that nothing is gained, and who comes next waits longer. */
const MOST_TOGETHER = 64
const MOST_WAITING = 1_000

interface Member {
  readonly statements: readonly Statement[]
  readonly deadline: number
  readonly resolve: (results: readonly ResultSet[]) => void
  readonly reject: (error: unknown) => void
}

/** Makes one; nobody waits. */
export function createGroupCommit(options: GroupCommitOptions): GroupCommit {
  const { clock, writes, execute, insist, wasRefused } = options
  const waiting: Member[] = []
  let called = false

  return {
    commit: (statements, deadline) =>
      new Promise((resolve, reject) => {
        if (waiting.length >= MOST_WAITING) return reject(new GateFull())
        waiting.push({ statements, deadline, resolve, reject })
        call()
      }),
  }

  /** Not at once: what else arrives in this turn of the event loop comes along. */
  function call(): void {
    if (called || waiting.length === 0) return
    called = true
    setImmediate(() => void standInLine())
  }

  async function standInLine(): Promise<void> {
    try {
      await writes.run(async () => {
        const group = waiting.splice(0, MOST_TOGETHER)
        called = false
        call()
        await settle(group)
      })
    } catch {
      // The writer was not to be had for as long as anybody waits for it. Who came later waits on.
      called = false
      const now = clock.elapsed()
      const late = waiting.filter(({ deadline }) => deadline <= now)
      for (const member of late) {
        waiting.splice(waiting.indexOf(member), 1)
        member.reject(new GateFull())
      }
      call()
    }
  }

  /** Never throws. */
  async function settle(members: readonly Member[]): Promise<void> {
    const group = members.filter(inTime)
    if (group.length < 2) return await settleEach(group)
    const deadline = Math.max(...group.map((member) => member.deadline))
    try {
      const results = await execute(
        group.flatMap(({ statements }) => statements),
        deadline,
      )
      let next = 0
      for (const { statements, resolve } of group) {
        resolve(results.slice(next, next + statements.length))
        next += statements.length
      }
    } catch (error) {
      // Whoever it was that a unique index refused, or the lock of another process: the others must not suffer for it.
      if (wasRefused(error)) return await settleEach(group)
      for (const { reject } of group) reject(error)
    }
  }

  async function settleEach(members: readonly Member[]): Promise<void> {
    for (const member of members) {
      if (!inTime(member)) continue
      try {
        member.resolve(await insist(member.statements, member.deadline))
      } catch (error) {
        member.reject(error)
      }
    }
  }

  /** Whose turn came too late, or whose request has used up its time before, is refused: nothing of it was executed. */
  function inTime({ deadline, reject }: Member): boolean {
    if (clock.elapsed() < deadline) return true
    reject(new AuthError('SERVICE_UNAVAILABLE', { retryAfter: 1 }))
    return false
  }
}
