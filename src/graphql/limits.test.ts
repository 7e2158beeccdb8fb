// Oversized and tangled operations: refused before anything runs, with a code, whatever they hide behind.

import { describe, expect, test } from 'bun:test'
import { getIntrospectionQuery } from 'graphql'
import { createTestApp, KIM, SIGNUP } from '../testing/app.ts'

const app = await createTestApp()
const login = (name = '') => `${name}login(email: "a@b.kr", password: "12345678") { __typename }`
const ending = (i: number) => `e${i}: endSession(id: "ses_${i}") { sessions }`
const repeat = (count: number, text: (i: number) => string) =>
  Array.from({ length: count }, (_, i) => text(i)).join(' ')
/** Fragments that each contain the next one twice: n of them expand to 2^n. */
const doubling = (count: number, type: string, leaf: string) =>
  `${repeat(count, (i) => `fragment F${i} on ${type} { ...F${i + 1} ...F${i + 1} }`)} fragment F${count} on ${type} { ${leaf} }`
/** Of so many tokens, few of which are fields. */
const ofTokens = (count: number) =>
  `{ ...F0 } ${repeat(123, (i) => `fragment F${i} on Query { ...F${i + 1} }`)} fragment F123 on Query { ${'__typename '.repeat(count - 994)} }`

describe('refused as QUERY_TOO_COMPLEX, naming the limit', () => {
  test.each<[string, string, string]>([
    ['20,000 nested braces', 'tokens', '{a'.repeat(20_000)],
    ['20,000 nested lists', 'tokens', `{ login(email: ${'['.repeat(20_000)}`],
    ['1,001 tokens', 'tokens', ofTokens(1_001)],
    ['5,000 times the same field', 'tokens', `{ ${'__typename '.repeat(5_000)} }`],
    ['900 times the same field below another', 'tokens', `{ me { ${'id '.repeat(900)} } }`],
    ['1,001 line breaks', 'tokens', `${'\n'.repeat(1_001)}{ __typename }`],
    ['1,001 comments', 'tokens', `${'#\r'.repeat(1_001)}{ __typename }`],
    ['a text of line breaks that is not GraphQL', 'tokens', `{${'\n'.repeat(50_000)}`],
    ['61 times a field with fields', 'tokens', `{ ${'me { id } '.repeat(61)} }`],
    ['10,000 directives', 'tokens', `{ __typename ${'@a '.repeat(10_000)} }`],
    [
      '1,000 unused fragments',
      'tokens',
      `{ __typename } ${repeat(1_000, (i) => `fragment F${i} on Query { __typename }`)}`,
    ],
    ['depth 9', 'depth', `{ ${'me { '.repeat(8)} id ${'} '.repeat(8)} }`],
    [
      'depth 9 through fragments',
      'depth',
      `{ me { ...A } } fragment A on User { a { b { ...B } } } fragment B on User { c { d { e { f { g { h } } } } } }`,
    ],
    [
      'depth 9 through an inline fragment',
      'depth',
      `{ ... { ${'a { '.repeat(8)} id ${'} '.repeat(8)} } }`,
    ],
    ['16 aliases', 'aliases', `{ ${repeat(16, (i) => `a${i}: __typename`)} }`],
    [
      '4 fragments of 5 aliases',
      'aliases',
      `{ ${repeat(4, (i) => `...F${i}`)} } ${repeat(4, (f) => `fragment F${f} on Query { ${repeat(5, (i) => `a${f}x${i}: __typename`)} }`)}`,
    ],
    ['6 ends of sessions', 'aliases', `mutation { ${repeat(6, ending)} }`],
    [
      '6 ends of sessions in fragments',
      'aliases',
      `mutation { ...F ... { ${repeat(3, ending)} } } fragment F on Mutation { ${repeat(3, (i) => ending(i + 3))} }`,
    ],
    ['3 lists of sessions', 'aliases', `{ ${repeat(3, (i) => `s${i}: sessions { id }`)} }`],
    [
      '3 lists of sessions in fragments',
      'aliases',
      '{ sessions { id } ...F ... { b: sessions { id } } } fragment F on Query { a: sessions { id } }',
    ],
    ['two logins', 'credentialFields', `mutation { ${login('a: ')} ${login('b: ')} }`],
    [
      'a signup and a login',
      'credentialFields',
      `mutation { ${login()} signup(email: "a@b.kr", password: "12345678") { __typename } }`,
    ],
    [
      'two changes of the password',
      'credentialFields',
      `mutation { ${repeat(2, (i) => `a${i}: changePassword(currentPassword: "12345678", newPassword: "87654321") { expiresIn }`)} }`,
    ],
    [
      'two deletions of oneself',
      'credentialFields',
      `mutation { ${repeat(2, (i) => `a${i}: deleteMe(password: "12345678") { sessions }`)} }`,
    ],
    [
      'two refreshes',
      'credentialFields',
      `mutation { ${repeat(2, (i) => `a${i}: refresh(refreshToken: "x") { expiresIn }`)} }`,
    ],
    [
      'two logins in a fragment',
      'credentialFields',
      `mutation { ...A } fragment A on Mutation { ${login('a: ')} ${login('b: ')} }`,
    ],
    [
      'a login in a fragment, twice',
      'credentialFields',
      `mutation { ...A ...A } fragment A on Mutation { ${login()} }`,
    ],
    [
      'two logins in inline fragments',
      'credentialFields',
      `mutation { ... { ${login('a: ')} } ... on Mutation { ${login('b: ')} } }`,
    ],
    [
      'a login in thirty fragments that double',
      'credentialFields',
      `mutation { ...F0 } ${doubling(30, 'Mutation', login())}`,
    ],
    [
      'two logins in an operation that is not chosen',
      'credentialFields',
      `query A { __typename } mutation B { ${login('a: ')} ${login('b: ')} }`,
    ],
  ])('%s', async (_, limit, query) => {
    const hashes = await hashCount()
    const response = await app.post(
      { query, operationName: query.startsWith('query A') ? 'A' : undefined },
      { accept: 'application/graphql-response+json' },
    )
    expect(response.status).toBe(400)
    const body = (await response.json()) as { errors: Array<{ extensions: object }> }
    expect(body.errors).toHaveLength(1)
    expect(body.errors[0]?.extensions).toMatchObject({ code: 'QUERY_TOO_COMPLEX', limit })
    expect(await hashCount()).toBe(hashes)
  })
})

describe('within the limits', () => {
  test.each<[string, string]>([
    ['1,000 tokens', ofTokens(1_000)],
    ['1,000 line breaks', `${'\r\n'.repeat(998)}\n{ __typename }\r`],
    ['60 fields with fields', `{ ${'... @skip(if: true) { me { id } } '.repeat(60)} __typename }`],
    ['15 aliases', `{ ${repeat(15, (i) => `a${i}: __typename`)} }`],
    ['5 fields of a mutation', `mutation { ${repeat(5, () => 'logout { sessions }')} }`],
    [
      'depth 2 through many fragments',
      `{ __typename ...F0 } ${doubling(20, 'Query', '__typename')}`,
    ],
    [
      'the introspection query of tools',
      getIntrospectionQuery({ inputValueDeprecation: true, specifiedByUrl: true, oneOf: true }),
    ],
  ])('%s executes', async (_, query) => {
    const { errors } = await app.run(query)
    expect(errors).toBeUndefined()
  })
})

test('depth 8 is not too deep, though nothing of ours is that deep', async () => {
  const { code } = await app.run(`{ ${'me { '.repeat(7)} id ${'} '.repeat(7)} }`)
  expect(code).toBe('GRAPHQL_VALIDATION_FAILED')
})

describe('refused by GraphQL itself, one error for all', () => {
  test.each<[string, string, string]>([
    [
      'two fragments that contain each other',
      'GRAPHQL_VALIDATION_FAILED',
      '{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }',
    ],
    [
      'a fragment that contains itself',
      'GRAPHQL_VALIDATION_FAILED',
      '{ ...A } fragment A on Query { ...A }',
    ],
    [
      'ten unknown directives',
      'GRAPHQL_VALIDATION_FAILED',
      `{ __typename ${repeat(10, (i) => `@d${i}`)} }`,
    ],
    ['fifty unknown fields', 'GRAPHQL_VALIDATION_FAILED', `{ ${repeat(50, (i) => `f${i}`)} }`],
    [
      'introspection that asks itself',
      'GRAPHQL_VALIDATION_FAILED',
      `{ __schema { types { ${'fields { type { '.repeat(5)} name ${'} } '.repeat(5)} } } }`,
    ],
    ['a subscription', 'GRAPHQL_VALIDATION_FAILED', 'subscription { me { id } }'],
    ['nothing', 'GRAPHQL_PARSE_FAILED', ''],
    ['an open brace', 'GRAPHQL_PARSE_FAILED', '{'],
    ['a NUL', 'GRAPHQL_PARSE_FAILED', '{ me\0 }'],
    ['a name of Cyrillic', 'GRAPHQL_PARSE_FAILED', '{ mе }'],
  ])('%s', async (_, code, query) => {
    const { errors, data } = await app.run(query)
    expect(data).toBeUndefined()
    expect(errors?.map((error) => error.extensions['code'])).toEqual([code])
  })
})

test('introspection and suggestions are off where the setting says so', async () => {
  const quiet = await createTestApp({ config: { introspection: false } })
  for (const query of ['{ __schema { queryType { name } } }', '{ __type(name: "User") { name } }'])
    expect((await quiet.run(query)).code).toBe('GRAPHQL_VALIDATION_FAILED')
  expect((await quiet.run('{ mee { id } }')).errors?.[0]?.message).not.toContain('Did you mean')
  expect((await quiet.run('{ __typename }')).data).toEqual({ __typename: 'Query' })
})

test('a refused document creates nobody', async () => {
  await app.run(`${SIGNUP} mutation Other { ${login('a: ')} ${login('b: ')} }`, KIM)
  expect(app.events).toEqual([])
})

async function hashCount(): Promise<string | undefined> {
  return /munjigi_password_hash_seconds_count\{engine="bun"\} (\d+)/.exec(
    await app.metrics.print(),
  )?.[1]
}
