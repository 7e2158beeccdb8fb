// 200 × kill -9 of a replica on a file, then 50 × of a libSQL server under a replica, at random moments under load:
// `npm run drill crash [REPLICA-KILLS [SERVER-KILLS]]`. Every acknowledged signup must be there, and every start be quick.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { CrashReport } from '../crash.ts'
import { crashReplica, crashSqld } from '../crash.ts'
import { startSqld } from '../database.ts'
import type { Ledger } from '../ledger.ts'
import { freePort } from '../ports.ts'
import { quantile } from '../quantile.ts'
import { wholeNumber } from '../whole-number.ts'

/** A start, and the return of service behind a server's start. */
const QUICK_MS = { replica: 3_000, server: 5_000 }

const replicaKills = wholeNumber(process.argv[2], 200)
const serverKills = wholeNumber(process.argv[3], 50)
const options = (kills: number) => ({ kills, clients: 4, life: 400, onKill: say(kills) })
const folder = mkdtempSync(join(tmpdir(), 'munjigi-drill-'))
try {
  const replica = await crashReplica(`file:${join(folder, 'munjigi.db')}`, options(replicaKills))
  const held = [judge('kill -9 of a replica on a file', replica, QUICK_MS.replica)]
  await using sqld = await startSqld({ adminPort: freePort(), durable: true })
  const server = await crashSqld(sqld, options(serverKills))
  held.push(judge('kill -9 of a libSQL server', server, QUICK_MS.server))
  process.exitCode = held.every(Boolean) ? 0 : 1
} finally {
  rmSync(folder, { recursive: true })
}

function say(kills: number) {
  return (done: number, { acknowledged }: Ledger) => {
    if (done % 10 === 0) console.error(`${done} of ${kills} kills, ${acknowledged.length} signups`)
  }
}

function judge(what: string, report: CrashReport, quick: number): boolean {
  const { lost, halfDone, unsound, recoveries, ...counts } = report
  const sorted = recoveries.toSorted((a, b) => a - b)
  const at = (share: number) => Math.round(quantile(sorted, share) ?? 0)
  const wrongs = { lost: lost.length, halfDone: halfDone.length, unsound: unsound.length }
  const times = {
    p50: at(0.5),
    p99: at(0.99),
    max: at(1),
    late: sorted.filter((t) => t > quick).length,
  }
  console.log(what, JSON.stringify({ ...counts, ...wrongs, recoveryMs: times }))
  return Object.values(wrongs).every((count) => count === 0) && times.late === 0
}
