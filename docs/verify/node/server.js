// A service that answers only to Munjigi's users: 200 and who it is, 401, or 503 while there are no keys.

import { createServer } from 'node:http'
import { createVerifier } from './verify.js'

const { ISSUER = 'http://127.0.0.1:3000', AUDIENCE = 'munjigi', PORT = '4000' } = process.env
const verify = createVerifier({ issuer: ISSUER, audience: AUDIENCE })

const server = createServer(async (request, response) => {
  const answer = (status, headers, body) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(body))
  }
  const [, token] = /^Bearer ([\w.-]+)$/i.exec(request.headers.authorization ?? '') ?? []
  try {
    const claims = token && (await verify(token))
    if (claims) return answer(200, {}, { sub: claims.sub, email: claims.email })
    const challenge = token ? 'Bearer error="invalid_token"' : 'Bearer'
    answer(401, { 'www-authenticate': challenge }, { error: 'unauthenticated' })
  } catch (error) {
    console.error('no keys:', error.message)
    answer(503, { 'retry-after': '5' }, { error: 'unavailable' })
  }
})

server.listen(Number(PORT), '127.0.0.1', () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`)
})
