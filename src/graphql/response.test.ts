// Which status an answer has. Whether it has one at all depends on what the client accepts: routes.test.ts.

import { expect, test } from 'bun:test'
import { answer } from './response.ts'

const extensions = { code: 'SERVICE_UNAVAILABLE', requestId: 'req_1' } as const
const errors = [{ message: 'Not now.', extensions }]
const to = { type: 'application/graphql-response+json', tokenSent: false } as const

test.each([
  ['nothing', 503, { errors }],
  ['null', 503, { data: null, errors }],
  ['a part', 200, { data: { sessions: null }, errors }],
])('an answer with errors, and %s for data, is %d', async (_, status, result) => {
  const response = answer(result, to)
  expect(response.status).toBe(status)
  expect(await response.json()).toEqual(status === 200 ? result : { errors })
})
