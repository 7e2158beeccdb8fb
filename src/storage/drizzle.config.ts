// Where `npm run migration` finds the tables (every table.ts) and puts the SQL.

import { defineConfig } from 'drizzle-kit'

export default defineConfig({
  dialect: 'turso',
  schema: './src/*/table.ts',
  out: './src/storage/migrations',
})
