// Loaded before the tests of src/ by the part `src-server` of the suite: their apps then work on a real libSQL server, each on
// a database of its own.

import { afterAll } from 'bun:test'
import { createClient } from '@libsql/client'
import { testDatabases } from '../src/testing/database.ts'
import { canRunSqld, startSqld } from './database.ts'
import { freePort } from './ports.ts'
import { until } from './until.ts'

/** A server has 1.5 s of real time to answer, though the clock of a test stands still: on a busy machine it can need more. */
const TIMES_LONGER = 20

if (canRunSqld()) {
  const { timeout } = AbortSignal
  AbortSignal.timeout = (ms) => timeout.call(AbortSignal, TIMES_LONGER * ms)
  const adminPort = freePort()
  const sqld = await startSqld({ adminPort, namespaces: true })
  const { port } = new URL(sqld.url)
  let made = 0
  testDatabases.fresh = async () => {
    made += 1
    const name = `test-${made}`
    const url = `http://127.0.0.1:${adminPort}/v1/namespaces/${name}/create`
    const headers = { 'content-type': 'application/json' }
    const answer = await fetch(url, { method: 'POST', headers, body: '{}' })
    if (!answer.ok) throw new Error(`no database: ${answer.status} ${await answer.text()}`)
    const database = `http://${name}.localhost:${port}`
    await until('the database answers', () => works(database))
    return database
  }
  afterAll(() => sqld[Symbol.asyncDispose]())
}

async function works(url: string): Promise<boolean> {
  const client = createClient({ url })
  try {
    await client.execute('SELECT 1')
    return true
  } catch {
    return false
  } finally {
    client.close()
  }
}
