// Where a test's app gets its fresh database: in memory, unless e2e/on-server.ts, loaded before the tests, has put a
// libSQL server in its place.

/** Gives the URL of a database that nobody has used. */
export const testDatabases: { fresh: () => Promise<string> } = { fresh: async () => ':memory:' }
