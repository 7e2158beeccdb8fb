// The ceiling of refreshing: one row into a table, committed with FULL sync before the next one, through the client that the
// server uses, as it uses it, on the same disk, and nothing else. Arguments: a new file, seconds. Prints one line of JSON.

import { quantile } from '../e2e/quantile.ts'
import { connect } from '../src/storage/database.ts'
import { p99 } from './statistics.ts'

const [file = '', seconds = '1'] = process.argv.slice(2)
const client = connect({ url: `file:${file}` })
await client.execute('PRAGMA journal_mode = WAL')
await client.execute('CREATE TABLE IF NOT EXISTS rows (id TEXT PRIMARY KEY, value TEXT NOT NULL)')
// FULL is the default of each of the client's connections; another would make this no ceiling.
const { rows } = await client.execute('PRAGMA synchronous')
if (Number(rows[0]?.['synchronous']) !== 2) throw new Error('writes are not synchronous')
await insertUntil(performance.now() + 200)

const [started, before] = [performance.now(), process.cpuUsage()]
const times = (await insertUntil(started + Number(seconds) * 1_000)).toSorted((a, b) => a - b)
const { user, system } = process.cpuUsage(before)
client.close()
console.log(
  JSON.stringify({
    answers: times.length,
    ms: performance.now() - started,
    cpu: (user + system) / 1_000,
    p50: quantile(times, 0.5),
    p99: p99(times),
  }),
)

/** Resolves to the time of each insert, at least one. */
async function insertUntil(deadline: number): Promise<number[]> {
  const all: number[] = []
  do {
    const begun = performance.now()
    await client.execute({
      sql: 'INSERT INTO rows (id, value) VALUES (?, ?)',
      args: [crypto.randomUUID(), 'a row about as long as a session in our own table '.repeat(3)],
    })
    all.push(performance.now() - begun)
  } while (performance.now() < deadline)
  return all
}
