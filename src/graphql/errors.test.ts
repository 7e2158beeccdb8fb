// The gate: every error has a code, a sentence in the set language, and no echo of what was sent.

import { describe, expect, test } from 'bun:test'
import { AuthError, ERRORS, messageOf } from '../errors.ts'
import type { Database } from '../storage/database.ts'
import { createTestApp, KIM, LOGIN, SIGNUP } from '../testing/app.ts'

const app = await createTestApp()
const SECRET = 'hunter2hunter2'
const TOO_MANY = 'Document contains more than 1000 tokens. Parsing aborted.'
const WANTS_STATUS = { accept: 'application/graphql-response+json' }

describe('a value of the wrong kind is refused without being repeated', () => {
  const variable = (password: unknown, email: unknown = KIM.email) => ({
    query: LOGIN,
    variables: { email, password },
  })
  const literal = (value: string) => ({
    query: `mutation { login(email: "a@b.kr", password: ${value}) { __typename } }`,
  })
  test.each<[string, object, string, string | undefined]>([
    ['a number', variable(1234567890123), 'BAD_USER_INPUT', 'password'],
    ['a list', variable([SECRET]), 'BAD_USER_INPUT', 'password'],
    ['an object', variable({ [SECRET]: SECRET }), 'BAD_USER_INPUT', 'password'],
    ['null', variable(null), 'BAD_USER_INPUT', 'password'],
    ['nothing', { query: LOGIN, variables: { email: SECRET } }, 'BAD_USER_INPUT', 'password'],
    ['a list of e-mails', variable(SECRET, [SECRET, SECRET]), 'BAD_USER_INPUT', 'email'],
    [
      'a deep list',
      variable(JSON.parse('['.repeat(190) + ']'.repeat(190))),
      'BAD_USER_INPUT',
      'password',
    ],
    ['a literal number', literal('1234567890123'), 'GRAPHQL_VALIDATION_FAILED', undefined],
    ['a word without quotes', literal(SECRET), 'GRAPHQL_VALIDATION_FAILED', undefined],
    ['a literal list', literal(`["${SECRET}"]`), 'GRAPHQL_VALIDATION_FAILED', undefined],
    ['a literal object', literal(`{ a: "${SECRET}" }`), 'GRAPHQL_VALIDATION_FAILED', undefined],
    ['a string without an end', literal(`"${SECRET}`), 'GRAPHQL_PARSE_FAILED', undefined],
    [
      'what the limit of tokens says',
      { query: `{ a "x ${TOO_MANY}" }` },
      'GRAPHQL_PARSE_FAILED',
      undefined,
    ],
    ['a string with a wrong escape', literal(`"${SECRET}\\x"`), 'GRAPHQL_PARSE_FAILED', undefined],
    [
      'a null for a default',
      {
        query: `mutation ($p: String = "${SECRET}") { login(email: "a@b.kr", password: $p) { __typename } }`,
        variables: { p: null },
      },
      'BAD_USER_INPUT',
      'p',
    ],
  ])('%s', async (_, body, code, field) => {
    const before = app.logLines.length
    const response = await app.post(body, WANTS_STATUS)
    const text = await response.text()
    const { errors } = JSON.parse(text) as {
      errors: Array<{ extensions: Record<string, unknown> }>
    }
    expect(errors.map((error) => [error.extensions['code'], error.extensions['field']])).toEqual([
      [code, field],
    ])
    expect(response.status).toBe(400)
    expect(text + app.logLines.slice(before).join()).not.toMatch(/hunter2|1234567890123/)
  })
})

test('more wrong variables than graphql-js counts are no fault of ours', async () => {
  const names = Array.from({ length: 60 }, (_, at) => `v${at}`)
  const query = `query (${names.map((name) => `$${name}: Boolean!`).join(' ')}) { ${names.map((name) => `__typename @skip(if: $${name})`).join(' ')} }`
  const before = app.logLines.length
  const { errors } = await app.run(query, Object.fromEntries(names.map((name) => [name, SECRET])))
  expect(new Set(errors?.map((error) => error.extensions['code']))).toEqual(
    new Set(['BAD_USER_INPUT']),
  )
  expect(app.logLines.slice(before).join()).not.toMatch(/request\.failed|hunter2/)
})

test('such a request is 200 for a client that asked for no statuses', async () => {
  const { response, code } = await app.run(LOGIN, { email: 'kim@example.com', password: 3 })
  expect([response.status, code]).toEqual([200, 'BAD_USER_INPUT'])
})

describe('messages', () => {
  test('are in Korean unless the setting says English', async () => {
    for (const [config, language] of [
      [{}, 'ko'],
      [{ messageLanguage: 'en' }, 'en'],
    ] as const) {
      const { errors } = await (await createTestApp({ config })).run(LOGIN, KIM)
      expect(errors?.[0]?.message).toBe(messageOf('INVALID_CREDENTIALS', language))
    }
  })
  test('exist in both languages for every code, and hold no placeholder', () => {
    for (const row of Object.values(ERRORS))
      expect([row.ko, row.en].every((text) => /^[^{}$%]{5,}\.$/.test(text))).toBe(true)
  })
  test('say what does not fit the schema, by names', async () => {
    const { errors } = await app.run('{ me { nope } }')
    expect(errors?.[0]?.message).toBe(
      '스키마에 맞지 않는 요청입니다. Cannot query field "nope" on type "User".',
    )
  })
})

test.each([
  ['does not fit the grammar', '{\n  me {'],
  ['does not fit the schema', '{\n  nope }'],
  ['has a value of the wrong type', 'mutation {\n  logout(refreshToken: 1) { sessions } }'],
])('where a document %s is told', async (_, query) => {
  const { errors } = await app.run(query)
  expect(errors).toMatchObject([{ locations: [{ line: 2 }] }])
})

describe('a fault of ours', () => {
  const failing = async (error: unknown) => {
    let fail = false
    const database: Database = {
      ...app.database,
      commit: (statements) => (fail ? Promise.reject(error) : app.database.commit(statements)),
    }
    const target = await createTestApp({ database })
    fail = true
    const response = await target.post(
      { query: LOGIN, variables: { email: 'lee@example.com', password: SECRET } },
      WANTS_STATUS,
    )
    return {
      response,
      body: await response.text(),
      log: target.logLines.join('\n'),
      metrics: await target.metrics.print(),
    }
  }

  test('is masked, logged once with the request id, and its message is nowhere', async () => {
    const { response, body, log, metrics } = await failing(
      new Error(`near "${SECRET}": syntax error`),
    )
    expect(response.status).toBe(500)
    expect(JSON.parse(body)).toMatchObject({
      errors: [
        {
          message: messageOf('INTERNAL_SERVER_ERROR', 'ko'),
          extensions: { code: 'INTERNAL_SERVER_ERROR', requestId: 'req_1001' },
        },
      ],
    })
    expect(JSON.parse(body)).not.toHaveProperty('data')
    expect(body + log + metrics).not.toContain(SECRET)
    const failures = log
      .split('\n')
      .map((line) => JSON.parse(line))
      .filter((line) => line.event === 'request.failed')
    expect(failures).toMatchObject([{ requestId: 'req_1001', error: 'Error', path: 'login' }])
    expect(metrics).toContain(
      'munjigi_graphql_operation_seconds_count{type="mutation",field="login",outcome="failed"} 1',
    )
    expect(metrics).toContain('munjigi_logins_total{result="error"} 1')
  })

  test('that is thrown and no error at all is masked as well', async () => {
    const { response, body } = await failing(SECRET)
    expect(response.status).toBe(500)
    expect(body).not.toContain(SECRET)
  })

  test('that means the database is away says when to come back, and blames nobody', async () => {
    const { response, body } = await failing(
      new AuthError('SERVICE_UNAVAILABLE', { retryAfter: 1 }),
    )
    expect(response.status).toBe(503)
    expect(response.headers.get('retry-after')).toBe('1')
    expect(JSON.parse(body)).toMatchObject({
      errors: [{ extensions: { code: 'SERVICE_UNAVAILABLE', retryAfter: 1 } }],
    })
  })
})

test('what goes wrong after the operation began leaves what went right', async () => {
  const { data } = await app.run(SIGNUP, KIM)
  const database: Database = { ...app.database }
  const half = await createTestApp({ database, clock: app.clock })
  database.readStale = () => Promise.reject(new AuthError('SERVICE_UNAVAILABLE', { retryAfter: 1 }))
  const ok = await half.post(
    { query: '{ me { id email } }' },
    { ...WANTS_STATUS, authorization: `Bearer ${data.signup.tokens.accessToken}` },
  )
  expect([ok.status, await ok.json()]).toEqual([
    200,
    { data: { me: { id: 'usr_1', email: KIM.email } } },
  ])
  const partly = await half.post(
    { query: '{ __typename me { createdAt } }' },
    { ...WANTS_STATUS, authorization: `Bearer ${data.signup.tokens.accessToken}` },
  )
  expect(partly.status).toBe(503)
})
