// Sessions: opened at a login, rotated by refresh, ended by decision. What happens at once is decided by the database in one
// conditional statement; a refresh token that was replaced before and comes back ends its session (RFC 9700 §4.14).

import { LONGEST_LIFE } from '../config/values.ts'
import type { Client, Viewer } from '../graphql/context.ts'
import type { EndReason, Report } from '../observability/events.ts'
import type { Metrics } from '../observability/metrics.ts'
import type { Clock } from '../platform/clock.ts'
import type { Random } from '../platform/random.ts'
import { inBatches } from '../storage/batches.ts'
import type { Database } from '../storage/database.ts'
import type { Heartbeat } from '../storage/heartbeat.ts'
import type { Confirmed } from '../users/confirmation.ts'
import { stillHas } from '../users/store.ts'
import type { UserId } from '../users/user.ts'
import { toUserId } from '../users/user.ts'
import type { EndedSessions } from './ended.ts'
import type { RefreshToken, RefreshTokens } from './refresh-token.ts'
import { secretHash } from './refresh-token.ts'
import type { Session, SessionId } from './session.ts'
import { toSessionId } from './session.ts'
import type { EndedSession, Ending, RefreshedSession, SessionRow } from './store.ts'
import {
  ending,
  ofUser,
  ofUserBeyond,
  ofUserWithId,
  opening,
  rotating,
  selectSession,
  selectSessions,
  sweep,
  withId,
} from './store.ts'

/** The rules about sessions. */
export interface Sessions {
  /** A new session's row and token, not yet written: for a flow that writes it together with something else. */
  prepare(userId: UserId, client: Client): PreparedSession
  /**
   * Opens a session for a user whose password was just checked; the oldest ends when there are too many.
   * Null: the password was changed, or the user disabled or deleted, in the meantime.
   */
  open(confirmed: Confirmed, client: Client): Promise<OpenedSession | null>
  /** The successor of a refresh token, once; within the grace the same one again. A reused one ends its session. */
  rotate(refreshToken: string, client: Client): Promise<Rotation | RotationRefused>
  /** The sessions of a user that are in force, for somebody who will act on them. */
  list(userId: UserId): Promise<Session[]>
  /** The same for the viewer, who only looks: what happened on other clients may show some seconds later. */
  listOwn(viewer: Viewer): Promise<Session[]>
  /** Ends one session of a user. Returns how many ended: 0 when there is none such. */
  endOne(userId: UserId, id: string, reason: EndReason): Promise<number>
  /** Ends all sessions of a user. */
  endAll(userId: UserId, reason: EndReason): Promise<number>
  /** Ends the session of a refresh token, whichever generation it is of. A token that is not ours ends none. */
  endByToken(refreshToken: string): Promise<number>
  /**
   * Of sessions that a flow ended in a batch of its own: this replica refuses them at once, without waiting for its next look, and
   * log and metrics are told. Returns how many were in force.
   */
  announceEnded(sessions: readonly EndedSession[], reason: EndReason): number
  /** Deletes rows that nobody needs any more, few at a time. Never throws; what is left goes the next time. */
  sweep(): Promise<void>
}

/** A session that is not written yet, and what its client will get. */
export interface PreparedSession {
  readonly row: SessionRow
  readonly opened: OpenedSession
}

/** What a client gets. `refreshExpiresIn`: seconds. */
export interface OpenedSession {
  readonly sessionId: SessionId
  readonly refreshToken: string
  readonly refreshExpiresIn: number
}

/** How a refresh ended. `repeated`: the parent came again within the grace. */
export interface Rotation extends OpenedSession {
  readonly kind: 'rotated' | 'repeated'
  readonly userId: UserId
  readonly email: string
}

/** The token does not work. The difference is for log and metrics; the client learns none. */
export interface RotationRefused {
  readonly kind: 'refused'
  readonly reason: 'invalid' | 'reused'
}

/** What the service is made from. Times: seconds. */
export interface SessionsOptions {
  readonly database: Database
  readonly tokens: RefreshTokens
  readonly ended: EndedSessions
  readonly heartbeat: Pick<Heartbeat, 'stoodStill'>
  readonly clock: Clock
  readonly random: Random
  readonly metrics: Metrics
  readonly report: Report
  readonly idleTtl: number
  readonly maxTtl: number
  readonly grace: number
  readonly maxSessions: number
}

const LONGEST_CLIENT = 200

/** Makes the service. */
export function createSessions(options: SessionsOptions): Sessions {
  const { database, tokens, heartbeat, clock, random, metrics, report } = options
  const { idleTtl, maxTtl, grace, maxSessions } = options

  return {
    prepare,

    async open({ user, passwordHash, success }, client) {
      const { row, opened } = prepare(user.id, client)
      const stillRight = stillHas(user.id, passwordHash)
      const [{ rows }] = await database.commit([opening(row, passwordHash), ...success(stillRight)])
      const [inserted] = rows
      if (!inserted) return null
      // The session is open by now. If this fails, the log says why, and the next login ends those that are left.
      if (inserted.count > maxSessions)
        await end(ofUserBeyond(row, maxSessions), 'evicted').catch(() => 0)
      return opened
    },

    async rotate(text, client) {
      const token = tokens.read(text)
      if (!token) return { kind: 'refused', reason: 'invalid' }
      const [next] = tokens.successors(token)
      const now = clock.now()
      const change = {
        id: token.sessionId,
        generation: token.generation,
        secretHash: secretHash(token),
        nextSecretHash: secretHash(next),
        now,
        idleExpiresAt: now + idleTtl * 1_000,
      }
      const [{ rows }] = await database.commit([rotating(change)])
      const [row] = rows
      if (!row) return await judgeReplaced(token, client)
      const { email } = row
      return email === null
        ? { kind: 'refused', reason: 'invalid' }
        : rotated('rotated', { ...row, email }, next)
    },

    async list(userId) {
      const rows = await database.read((db) => selectSessions(db, userId, clock.now()))
      return rows.map(toSession)
    },

    async listOwn({ userId, sessionId }) {
      // If the session that asks is missing, it may have been opened just now: the primary knows.
      const rows = await database.readStale(
        (db) => selectSessions(db, toUserId(userId), clock.now()),
        (found) => found.some(({ id }) => id === sessionId),
      )
      // An ended session leaves the list when its tokens are refused, however far behind the rows are.
      return rows.filter(({ id }) => !options.ended.has(id)).map(toSession)
    },

    endOne: (userId, id, reason) => end(ofUserWithId(userId, toSessionId(id)), reason),
    endAll: (userId, reason) => end(ofUser(userId), reason),

    async endByToken(text) {
      const token = tokens.read(text)
      return token ? await end(withId(token.sessionId), 'logout') : 0
    },

    announceEnded,

    async sweep() {
      const now = clock.now()
      // An ended session is kept for twice the longest life of an access token: no replica can still need it.
      const limits = { expiredBefore: now, endedBefore: now - 2 * LONGEST_LIFE * 1_000 }
      await inBatches((rows) =>
        database.write((db) => sweep(db, { ...limits, rows })).catch(() => 0),
      )
    },
  }

  function prepare(userId: UserId, client: Client): PreparedSession {
    const sessionId = toSessionId(random.id('ses'))
    const token = tokens.first(sessionId)
    const now = clock.now()
    const endsAt = now + maxTtl * 1_000
    const expiresAt = Math.min(now + idleTtl * 1_000, endsAt)
    const row = {
      id: sessionId,
      userId,
      generation: 0,
      secretHash: secretHash(token),
      createdAt: now,
      lastUsedAt: now,
      expiresAt,
      endsAt,
      clientAddress: client.address,
      client: client.userAgent.slice(0, LONGEST_CLIENT),
    }
    return { row, opened: openedBy(token, expiresAt) }
  }

  /** The token no longer rotates: it was replaced, or the session is gone. Only a replaced one can mean theft. */
  async function judgeReplaced(
    token: RefreshToken,
    client: Client,
  ): Promise<Rotation | RotationRefused> {
    const row = await database.read((db) => selectSession(db, token.sessionId, clock.now()))
    if (!row || row.generation <= token.generation) return { kind: 'refused', reason: 'invalid' }
    // Only the parent of the newest token has that one as its child.
    const child = tokens
      .successors(token)
      .find((successor) => secretHash(successor) === row.secretHash)
    // While the database stands still a client cannot come again: that time does not count.
    const age = clock.now() - row.lastUsedAt - heartbeat.stoodStill(row.lastUsedAt)
    if (child && age <= grace * 1_000) return rotated('repeated', row, child)
    // A replica that stood still finds requests of clients who have long gone on elsewhere, and hears a turn of the event loop later that
    // they have left: a file answers sooner. No thief gains anything without an answer.
    await new Promise(setImmediate)
    if (client.signal?.aborted) return { kind: 'refused', reason: 'invalid' }
    const { sessionId, generation } = token
    const count = await end(withId(sessionId), 'reuse')
    // Another has ended it meanwhile.
    if (count === 0) return { kind: 'refused', reason: 'invalid' }
    const { userId } = row
    const { address: clientAddress } = client
    report({ type: 'session.reuse_detected', userId, sessionId, generation, clientAddress })
    return { kind: 'refused', reason: 'reused' }
  }

  function rotated(kind: Rotation['kind'], row: RefreshedSession, token: RefreshToken): Rotation {
    return {
      kind,
      userId: row.userId,
      email: row.email,
      ...openedBy(token, row.expiresAt),
    }
  }

  function openedBy(token: RefreshToken, expiresAt: number): OpenedSession {
    const refreshExpiresIn = Math.max(0, Math.floor((expiresAt - clock.now()) / 1_000))
    return { sessionId: token.sessionId, refreshToken: tokens.write(token), refreshExpiresIn }
  }

  async function end(which: Ending['which'], reason: EndReason): Promise<number> {
    const [, { rows }] = await database.commit(ending({ which, reason, now: clock.now() }))
    return announceEnded(rows, reason)
  }

  function announceEnded(sessions: readonly EndedSession[], reason: EndReason): number {
    const inForce = sessions.filter((session) => session.inForce)
    options.ended.add(inForce.map(({ id }) => id))
    for (const { id: sessionId, userId } of inForce) {
      metrics.countSessionEnded(reason)
      report({ type: 'session.ended', userId, sessionId, reason })
    }
    return inForce.length
  }
}

function toSession(row: SessionRow): Session {
  return {
    id: row.id,
    userId: row.userId,
    createdAt: new Date(row.createdAt),
    lastUsedAt: new Date(row.lastUsedAt),
    expiresAt: new Date(row.expiresAt),
    clientAddress: row.clientAddress,
    client: row.client,
  }
}
