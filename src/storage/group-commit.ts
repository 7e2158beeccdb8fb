// Group commit: writes that arrive together, or wait for the writer together, share one transaction. They would follow each
// other in any case, and what costs most is the commit: a disk that must confirm, a server that must answer. Each is
// answered when the whole transaction is durable; when one of them is refused, each is executed on its own.

import type { ResultSet } from '@libsql/client'
import type { Clock } from '../platform/clock.ts'
import type { Gate } from '../platform/gate.ts'
import { GateFull } from '../platform/gate.ts'
import { toFault, unavailable } from './faults.ts'
import type { Statement } from './statement.ts'

/** Commits statements together with those of others. `deadline`: by the clock's `elapsed`. */
export interface GroupCommit {
  /** All of them or none. Throws `GateFull`, `SERVICE_UNAVAILABLE`, and what the driver throws. */
  commit(statements: readonly Statement[], deadline: number): Promise<readonly ResultSet[]>
}

/** How statements are executed. */
export interface GroupCommitOptions {
  readonly clock: Clock
  /** The gate of the one writer. */
  readonly writes: Gate
  /** Executes all in one transaction. A busy database is asked again until the deadline. */
  execute(statements: readonly Statement[], deadline: number): Promise<readonly ResultSet[]>
}

/** The most that share a transaction: beyond that nothing is gained, and the next ones wait longer. */
const MOST_TOGETHER = 64
const MOST_WAITING = 1_000
/** Milliseconds: whoever is refused sooner has not stood in line. */
const AT_ONCE = 1

interface Member {
  readonly statements: readonly Statement[]
  readonly deadline: number
  readonly resolve: (results: readonly ResultSet[]) => void
  readonly reject: (error: unknown) => void
}

/** Makes one. */
export function createGroupCommit(options: GroupCommitOptions): GroupCommit {
  const { clock, writes, execute } = options
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
    const asked = clock.elapsed()
    try {
      await writes.run(async () => {
        const group = waiting.splice(0, MOST_TOGETHER)
        called = false
        call()
        await settle(group)
      })
    } catch {
      // Either the line was too long to join, and all are refused at once; or our turn came too late: then those past their
      // deadline are refused, and those who came later wait on.
      called = false
      const now = clock.elapsed()
      const late = waiting.filter(({ deadline }) => now - asked < AT_ONCE || deadline <= now)
      for (const member of late) {
        waiting.splice(waiting.indexOf(member), 1)
        member.reject(new GateFull())
      }
      call()
    }
  }

  /** Never throws. */
  async function settle(members: readonly Member[]): Promise<void> {
    const group = members.filter((member) => !refuseIfLate(member))
    if (group.length < 2) return await settleEach(group)
    try {
      const results = await execute(
        group.flatMap(({ statements }) => statements),
        Math.min(...group.map(({ deadline }) => deadline)),
      )
      let next = 0
      for (const { statements, resolve } of group) {
        resolve(results.slice(next, next + statements.length))
        next += statements.length
      }
    } catch (error) {
      // A unique index refused one of them, or another process held its lock for too long: the others must not suffer for it.
      const isOnesOwn = toFault(error).code === 'conflict'
      if (wasRefused(error)) return await settleEach(group, isOnesOwn ? undefined : error)
      for (const { reject } of group) reject(error)
    }
  }

  async function settleEach(members: readonly Member[], reason?: unknown): Promise<void> {
    for (const member of members) {
      if (refuseIfLate(member, reason)) continue
      const { statements, deadline } = member
      try {
        member.resolve(await execute(statements, deadline))
      } catch (error) {
        member.reject(error)
      }
    }
  }

  /** Refuses a member whose turn came too late, or whose request had used up its time before. Nothing of it was executed. */
  function refuseIfLate({ deadline, reject }: Member, reason: unknown = unavailable()): boolean {
    if (clock.elapsed() < deadline) return false
    reject(reason)
    return true
  }
}

/**
 * Whether an error says that nothing was executed. SQLite's errors do, except that the disk failed; those of the network do not,
 * except that the server could not read what it was sent.
 */
function wasRefused(error: unknown): boolean {
  const { code, detail } = toFault(error)
  if (code === 'busy' || code === 'conflict' || detail === 'HTTP_400') return true
  return code !== 'unreachable' && detail.startsWith('SQLITE_')
}
