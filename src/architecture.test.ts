// The law of the house, executable: storeys, doors, effects. Import lines are read as text, since Bun's own scanner leaves
// type imports out, and a type from above is as much of a knot as a value.

import { expect, test } from 'bun:test'
import { Glob } from 'bun'

/** Ground first. A file imports from its own storey or from one further left. */
const STOREYS =
  'platform errors config observability storage throttle graphql keys tokens passwords users sessions flows http schema app cli main testing'.split(
    ' ',
  )

/** Each outside library, and the only files that may open its door. */
const DOORS: ReadonlyArray<{ library: RegExp; files: RegExp }> = [
  { library: /^(drizzle-orm|@libsql\/client)/, files: /^storage\/|\/table\.ts$|\/store\.ts$/ },
  { library: /^libsql$/, files: /^storage\/binding\.ts$/ },
  { library: /^drizzle-kit/, files: /^storage\/drizzle\.config\.ts$/ },
  {
    library: /^(graphql|graphql-yoga|@pothos\/.*|@graphql-yoga\/.*)$/,
    files: /^graphql\/|\/graphql\.ts$|^schema\.ts$|^http\/graphiql\.ts$/,
  },
  { library: /^hono\/jwt$/, files: /^(tokens|keys)\// },
  { library: /^hono(?!\/jwt)/, files: /^http\/|\/routes\.ts$|^app\.ts$/ },
  { library: /^prom-client$/, files: /^observability\/metrics\.ts$/ },
  { library: /^@graphql-tools\//, files: /^graphql\/lane\.ts$/ },
  // For a test only: what is not installed in production.
  { library: /^@hono\/prometheus$/, files: /^$/ },
  { library: /^@node-rs\//, files: /^passwords\/native-hasher\.ts$/ },
  { library: /^@zxcvbn-ts\//, files: /^passwords\/blocklist\.ts$/ },
  { library: /^commander$/, files: /^cli\/program\.ts$/ },
  { library: /^@logtape\//, files: /^observability\/log\.ts$|^testing\/log\.ts$/ },
]

/** What only one file may call: a second way to check a password would have a budget of its own. */
const CHOKE_POINTS: ReadonlyArray<{ use: RegExp; files: RegExp }> = [
  {
    use: /\bpassword\.verify\(|\bargon2Verify|\bverifySync\(|\bcreate\w*Hasher\(/,
    files: /^passwords\/|^app\.ts$/,
  },
  { use: /\b(?:hasher\.verify|verifyHash)\(/, files: /^passwords\/(?:passwords|hash-format)\.ts$/ },
  { use: /\bconfirmation\.(?:check|rehash)\(/, files: /^users\/users\.ts$/ },
  { use: /\bpasswords\.check\(/, files: /^users\/confirmation\.ts$/ },
]

/** What is not pure, and the only files that may do it. */
const EFFECTS: ReadonlyArray<{ use: RegExp; files: RegExp }> = [
  { use: /\bDate\.now\(|\bnew Date\(\)|\bperformance\.now\(/, files: /^platform\/clock\.ts$/ },
  {
    use: /\bMath\.random\(|getRandomValues|randomUUID|randomBytes|generateKey/,
    files: /^platform\/random\.ts$|^keys\//,
  },
  { use: /\bprocess\.env\b|\bBun\.env\b|import\.meta\.env/, files: /^main\.ts$/ },
  {
    use: /\bconsole\.|process\.std(out|err)\.write/,
    files: /^observability\/log\.ts$|^cli\/|^main\.ts$/,
  },
]

const SRC = new URL('.', import.meta.url).pathname
const files = [...new Glob('**/*.ts').scanSync(SRC)]
  .filter((file) => !file.endsWith('.test.ts'))
  .sort()
const sources = new Map(
  await Promise.all(files.map(async (file) => [file, await Bun.file(SRC + file).text()] as const)),
)

test('a file imports only from its own storey or from one below it', () => {
  const upward = edges().filter(({ from, to }) => level(from) < level(to))
  expect(upward.map(({ from, to }) => `${from} -> ${to}`)).toEqual([])
})

test('only tests enter testing/', () => {
  expect(
    edges().filter(({ from, to }) => to.startsWith('testing/') && !from.startsWith('testing/')),
  ).toEqual([])
})

test('every file stands on a storey of the list', () => {
  expect(files.filter((file) => level(file) < 0)).toEqual([])
})

test('each outside library comes in by its own door', () => {
  const broken = imports().flatMap(({ from, name }) =>
    DOORS.filter(({ library, files: allowed }) => library.test(name) && !allowed.test(from)).map(
      () => `${from} imports ${name}`,
    ),
  )
  expect(broken).toEqual([])
})

test('no outside library comes in without a door', () => {
  const unknown = imports().filter(
    ({ name }) =>
      !/^(?:\.|node:|bun(?::|$))/.test(name) && !DOORS.some(({ library }) => library.test(name)),
  )
  expect(unknown).toEqual([])
})

test('time, chance, the environment and the console each have one place', () => {
  const broken = [...sources].flatMap(([file, text]) =>
    EFFECTS.filter(
      ({ use, files: allowed }) => use.test(withoutComments(text)) && !allowed.test(file),
    ).map(({ use }) => `${file}: ${use.source}`),
  )
  expect(broken).toEqual([])
})

test('there is one way to check a password, and it is paid for', () => {
  const used = CHOKE_POINTS.map(({ use, files: allowed }) => {
    const users = files.filter((file) => use.test(withoutComments(sources.get(file) ?? '')))
    return { some: users.length > 0, elsewhere: users.filter((file) => !allowed.test(file)) }
  })
  expect(used).toEqual(CHOKE_POINTS.map(() => ({ some: true, elsewhere: [] })))
})

test('every file begins by saying what it is for, in one to five lines', () => {
  const silent = [...sources].filter(([, text]) => !/^(?:\/\/ .+\n){1,5}(?!\/\/)/.test(text))
  expect(silent.map(([file]) => file)).toEqual([])
})

test('file names say what a thing is, never that it is some helper', () => {
  expect(
    files.filter((file) => /util|helper|common|manager|handler|service\.ts/.test(file)),
  ).toEqual([])
})

function imports(): Array<{ from: string; name: string }> {
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^'"]*?from\s*'([^']+)'|\bimport\(\s*'([^']+)'\s*\)|(?:^|\n)import\s*'([^']+)'/g
  return [...sources].flatMap(([from, text]) =>
    [...text.matchAll(pattern)].map((match) => ({
      from,
      name: match[1] ?? match[2] ?? match[3] ?? '',
    })),
  )
}

/** Imports between our own files, as paths below src/. */
function edges(): Array<{ from: string; to: string }> {
  return imports()
    .filter(({ name }) => name.startsWith('.') && name.endsWith('.ts'))
    .map(({ from, name }) => ({ from, to: new URL(name, `file:///${from}`).pathname.slice(1) }))
}

function level(file: string): number {
  return STOREYS.indexOf(
    file.includes('/') ? (file.split('/')[0] ?? '') : file.replace(/\.ts$/, ''),
  )
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
}
