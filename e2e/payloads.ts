// Requests that attackers send to GraphQL servers, and the code each is refused with: oversized, tangled, of a wrong kind, or
// such as other sites could send from a browser. Tested by payloads.test.ts, timed by `npm run drill fuzz`.

/** One attack. */
export interface Payload {
  readonly name: string
  readonly code: string
  readonly request: RequestInit
}

/** Stands wherever a payload has a value: no answer and no line of the log may repeat it. */
export const SECRET = 'zqsecret4711'

const JSON_TYPE = { 'content-type': 'application/json' }
const VARIABLES = { email: `${SECRET}@example.com`, password: SECRET }
const LOGIN =
  'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { __typename } }'

/** What a document can do. */
export const DOCUMENTS: readonly Payload[] = [
  ...all('QUERY_TOO_COMPLEX', {
    'a hundred logins by alias': mutation(many(100, (n) => login(`a${n}: `))),
    'two logins by alias': mutation(login('a: '), login('b: ')),
    'a signup and a login': mutation(login().replace('login', 'signup'), login()),
    'four fragments of fifteen aliases': `${mutation(many(4, (f) => `...F${f}`))} ${many(4, (f) =>
      fragment(
        f,
        'Mutation',
        many(15, (n) => `a${f}x${n}: logoutAll { sessions }`),
      ),
    )}`,
    'two logins in inline fragments': mutation(`... { ${login('a: ')} }`, `... { ${login()} }`),
    'a login in fragments that double thirty times': `${mutation('...F0')} ${many(30, (n) => fragment(n, 'Mutation', `...F${n + 1} ...F${n + 1}`))} ${fragment(30, 'Mutation', login())}`,
    '101 aliases of __typename': `{ ${many(101, (n) => `a${n}: __typename`)} }`,
    '20,000 nested braces': '{a'.repeat(20_000),
    '20,000 nested lists': `{ me(a: ${'['.repeat(20_000)}`,
    '20,000 nested objects': `{ me(a: ${'{a:'.repeat(20_000)}`,
    '50 levels': `{ ${'me { '.repeat(50)} id ${'} '.repeat(50)} }`,
    '50,000 times the same field': `{${' a'.repeat(50_000)} }`,
    '240 times a field with fields': `{ ${many(240, () => 'me { id }')} }`,
    '10,000 directives': `{ __typename ${'@a '.repeat(10_000)} }`,
    '1,000 unused fragments': `{ __typename } ${many(1_000, (n) => fragment(n, 'Query', '__typename'))}`,
    'fifty faults below 50,000 lines': `${'\n'.repeat(50_000)}query (${many(50, (n) => `$v${n}: Boolean!`)}) { ${many(50, (n) => `__typename @include(if: $v${n})`)} }`,
    '5,000 declared variables': `query (${many(5_000, (n) => `$v${n}: ID`)}) { __typename }`,
  }),
  ...all('GRAPHQL_VALIDATION_FAILED', {
    'ten directives': `{ __typename ${many(10, (n) => `@d${n}`)} }`,
    'a fragment of itself': `{ ...F0 } ${fragment(0, 'Query', '...F0')}`,
    'two fragments of each other': `{ ...F0 } ${fragment(0, 'Query', '...F1')} ${fragment(1, 'Query', '...F0')}`,
    'fields that cannot be merged, fifty times': `{ ${many(50, () => 'me { id }')} me { id: email } }`,
    introspection: '{ __schema { types { name } } }',
    'introspection of one type': '{ __type(name: "User") { name } }',
    'a misspelt field': '{ mee { id } }',
    'a subscription': 'subscription { me { id } }',
    'a literal number for a password': mutation(login().replace(`"${SECRET}"`, '47114711')),
    'a literal password without quotes': mutation(login().replace(`"${SECRET}"`, SECRET)),
    'a literal list of passwords': mutation(login().replace(`"${SECRET}"`, `["${SECRET}"]`)),
  }),
  ...all('GRAPHQL_PARSE_FAILED', {
    'a string without an end': `{ me(a: "${SECRET}`,
    'a NUL': `{ me\0(a: "${SECRET}") { id } }`,
    nothing: '',
  }),
]

/** What variables and the envelope can do. */
export const ENVELOPES: readonly Payload[] = [
  ...bodies('BAD_USER_INPUT', {
    'a batch of two': [{ query: LOGIN, variables: VARIABLES }, { query: LOGIN }],
    'a batch of a hundred': Array.from({ length: 100 }, () => ({ query: '{ __typename }' })),
    'two operations and no name': { query: 'query A { __typename } query B { __typename }' },
    'a list of e-mails': asking({ email: [SECRET, SECRET] }),
    'an e-mail that is an object': asking({ email: { [SECRET]: SECRET } }),
    'an e-mail that is a number': asking({ email: 47114711 }),
    'an e-mail that is null': asking({ email: null }),
    'variables that are text': { query: LOGIN, variables: SECRET },
  }),
  raw('a list in a list, 45,000 deep', 'BAD_USER_INPUT', deepList(45_000)),
  raw('JSON without an end', 'BAD_USER_INPUT', `{"query":"{ me(a: \\"${SECRET}\\`),
  raw(
    '9,000 objects that take eight kilobytes each',
    'BAD_USER_INPUT',
    JSON.stringify(asking({ more: Array(9_000).fill({ 999: 1 }) })),
  ),
  raw('a list in a list, 200,000 deep', 'PAYLOAD_TOO_LARGE', deepList(200_000)),
  raw(
    '100,000 variables that nobody declared',
    'PAYLOAD_TOO_LARGE',
    JSON.stringify({ query: '{ __typename }', variables: { ...Array(100_000).fill(SECRET) } }),
  ),
  raw(
    'a password of 10 MiB',
    'PAYLOAD_TOO_LARGE',
    JSON.stringify(asking({ password: SECRET.repeat(873_814) })),
  ),
]

/** What a form or a link of another site can send without asking first. */
export const FOREIGN: readonly Payload[] = [
  ...['GET', 'PUT', 'DELETE', 'PATCH'].map((method) => ({
    name: method,
    code: 'METHOD_NOT_ALLOWED',
    request: method === 'GET' ? { method } : { method, headers: JSON_TYPE, body: body() },
  })),
  ...[
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/graphql',
    'text/plain',
    'text/plain; x=application/json',
    'application/json; charset=utf-16',
    'application/jsonp',
    'application/json, text/plain',
  ].map((type) => ({
    name: type,
    code: 'UNSUPPORTED_MEDIA_TYPE',
    request: { method: 'POST', headers: { 'content-type': type }, body: contentOf(type) },
  })),
  {
    name: 'no type',
    code: 'UNSUPPORTED_MEDIA_TYPE',
    request: { method: 'POST', body: Buffer.from(body()) },
  },
  raw('JSON behind a byte order mark', 'BAD_USER_INPUT', `\ufeff${body()}`),
]

/** Large, and within every limit: executed, and still cheap. */
export const HEAVY: readonly Payload[] = [
  ...all('UNAUTHENTICATED', {
    'the same field 60 times, merged': `{ ${many(60, () => 'me { id }')} }`,
    'fragments that all overlap': `{ ${many(60, (n) => `...F${n}`)} } ${many(60, (n) => fragment(n, 'Query', 'me { id }'))}`,
    'fragments that double twenty times': `{ ...F0 } ${many(20, (n) => fragment(n, 'Query', `...F${n + 1} ...F${n + 1}`))} ${fragment(20, 'Query', 'me { id }')}`,
  }),
  ...bodies('INVALID_CREDENTIALS', {
    'a password of 45,000 combining marks': asking({
      password: `a${'\u0316\u0301'.repeat(22_500)}`,
    }),
  }),
]

function all(code: string, documents: Readonly<Record<string, string>>): Payload[] {
  const queries = Object.entries(documents).map(([name, query]) => [name, { query }] as const)
  return bodies(code, Object.fromEntries(queries))
}

function bodies(code: string, named: Readonly<Record<string, unknown>>): Payload[] {
  return Object.entries(named).map(([name, value]) => raw(name, code, JSON.stringify(value)))
}

function raw(name: string, code: string, text: string): Payload {
  return { name, code, request: { method: 'POST', headers: JSON_TYPE, body: text } }
}

function many(count: number, text: (at: number) => string): string {
  return Array.from({ length: count }, (_, at) => text(at)).join(' ')
}

function mutation(...fields: string[]): string {
  return `mutation { ${fields.join(' ')} }`
}

function fragment(number: number, type: string, fields: string): string {
  return `fragment F${number} on ${type} { ${fields} }`
}

function login(alias = ''): string {
  return `${alias}login(email: "${VARIABLES.email}", password: "${SECRET}") { __typename }`
}

function asking(over: object): object {
  return { query: LOGIN, variables: { ...VARIABLES, ...over } }
}

function deepList(depth: number): string {
  const list = '['.repeat(depth) + ']'.repeat(depth)
  return JSON.stringify(asking({ email: 0 })).replace('"email":0', `"email":${list}`)
}

function body(): string {
  return JSON.stringify(asking({}))
}

function contentOf(type: string): string {
  if (type.startsWith('multipart/'))
    return `--x\r\ncontent-disposition: form-data; name="operations"\r\n\r\n${body()}\r\n--x--\r\n`
  if (type === 'application/graphql') return mutation(login())
  if (type.includes('urlencoded')) return `query=${encodeURIComponent(mutation(login()))}`
  return body()
}
