// The ceiling of logging in: verifies one password again and again for some seconds, as many at once as the server
// does, and nothing else. Arguments: seconds, `bun` or `native`. Prints one line of JSON.

import { availableParallelism } from 'node:os'

const milliseconds = Number(process.argv[2] ?? 1) * 1_000
const engine = process.argv[3] ?? 'bun'
const password = 'correct horse battery staple'
// OWASP Password Storage, and the server's default: 19 MiB, two passes.
const hash = await Bun.password.hash(password, {
  algorithm: 'argon2id',
  memoryCost: 19_456,
  timeCost: 2,
})
const verify =
  engine === 'native' ? await nativeVerify() : () => Bun.password.verify(password, hash)
await verifyUntil(performance.now())

const started = performance.now()
const before = process.cpuUsage()
const counts = await Promise.all(
  Array.from({ length: availableParallelism() }, () => verifyUntil(started + milliseconds)),
)
const { user, system } = process.cpuUsage(before)
console.log(
  JSON.stringify({
    answers: counts.reduce((sum, count) => sum + count, 0),
    ms: performance.now() - started,
    cpu: (user + system) / 1_000,
  }),
)

/** The optional package, which is not installed everywhere: hence no import that must succeed. */
async function nativeVerify(): Promise<() => Promise<boolean>> {
  const name: string = '@node-rs/argon2'
  const argon2 = (await import(name)) as {
    verify(hash: string, password: string): Promise<boolean>
  }
  return () => argon2.verify(hash, password)
}

/** Verifies once at least. Resolves to how often. */
async function verifyUntil(deadline: number): Promise<number> {
  let count = 0
  do {
    if (!(await verify())) throw new Error('the password must match')
    count += 1
  } while (performance.now() < deadline)
  return count
}
