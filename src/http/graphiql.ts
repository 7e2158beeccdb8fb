// The GraphiQL page: one self-contained document with a walk in four tabs. The renderer is a package of 18 MB: it is imported at
// the first visit, so that a server without one never loads it. The page is the same for everyone and holds no secret.

import type { Language } from '../errors.ts'
import { alreadyLoggedInMessage } from '../flows/login.ts'

/** Answers a browser with the page, compressed if it accepts that, under headers of its own. */
export type Graphiql = (request: Request) => Promise<Response>

/** Creates the page lazily: nothing is imported, rendered or compressed before the first visit. */
export function createGraphiql(language: Language): Graphiql {
  let page: Promise<Page> | undefined
  return async (request) => {
    page ??= renderPage(language)
    return answer(request, await page)
  }
}

interface Page {
  html: string
  /** The same document, compressed. */
  gzip: Uint8Array<ArrayBuffer>
  headers: Record<string, string>
}

async function renderPage(language: Language): Promise<Page> {
  const { renderGraphiQL } = await import('@graphql-yoga/render-graphiql')
  const html = renderGraphiQL(optionsFor(language)).replace('<style>', () => `${head}<style>`)
  return {
    html,
    // 9 MB become 2.6 MB in a tenth of a second; level 9 takes three times as long to save 5 %.
    gzip: Bun.gzipSync(html, { level: 3 }),
    headers: {
      'content-type': 'text/html; charset=utf-8',
      'content-security-policy': contentSecurityPolicy(html),
      // An ETag would be in vain: each POST to the same URL makes the browser drop its copy
      // (RFC 9111 §4.4).
      'cache-control': 'no-store',
    },
  }
}

/**
 * Nothing may be loaded from elsewhere, and only the scripts rendered here may run: they are named
 * by their hashes. Styles cannot be: the editor (Monaco) writes `style` elements and attributes as
 * it runs. Its workers, images and fonts are part of the page, as blobs and data URLs.
 */
function contentSecurityPolicy(html: string): string {
  const scripts = html.matchAll(/<script>(.*?)<\/script>/gs)
  const hashes = Array.from(scripts, ([, script = '']) => `'sha256-${sha256(script)}'`)
  return [
    "default-src 'none'",
    `script-src ${hashes.join(' ')}`,
    "style-src 'unsafe-inline'",
    'worker-src blob:',
    "connect-src 'self'",
    'img-src data:',
    'font-src data:',
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ')
}

function sha256(text: string): string {
  return Bun.CryptoHasher.hash('sha256', text, 'base64')
}

function answer(request: Request, { html, gzip, headers }: Page): Response {
  if (!acceptsGzip.test(request.headers.get('accept-encoding') ?? '')) {
    return new Response(html, { headers })
  }
  return new Response(gzip, { headers: { ...headers, 'content-encoding': 'gzip' } })
}

const acceptsGzip = /\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i

function optionsFor(language: Language) {
  return {
    title: 'Munjigi — GraphiQL',
    favicon: `data:image/svg+xml,${encodeURIComponent(door)}`,
    logo: door,
    defaultTabs: walk(language),
    defaultEditorToolsVisibility: 'headers' as const,
    // GraphiQL would copy each operation, with the password in it, to the address bar and from
    // there into histories and logs. `null` replaces that listener; its type does not know that.
    onEditQuery: null,
  }
}

/** A doorway with its door ajar. */
const door = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
<path fill="#0f766e" d="M4 30V14a12 12 0 0 1 24 0v16z"/>
<path fill="#99f6e4" d="M9 30V14a7 7 0 0 1 14 0v16z"/>
<path fill="#134e4a" d="M9 30V14a7 7 0 0 1 7-7l4 5v18z"/>
<circle cx="17" cy="20" r="1.5" fill="#fbbf24"/>
</svg>`

/** Stands in a header for the token that the page received last; see `head`. */
const placeholder = '{{accessToken}}'

const withToken = JSON.stringify({ Authorization: `Bearer ${placeholder}` }, null, 2)

/**
 * The walk. GraphiQL names a tab after its operation. The first two send no token, since `login`
 * with a valid one answers for its user. Arguments are literals, not variables, because GraphiQL
 * shows the variables of its first tab only after a reload.
 */
const walk = (language: Language) => [
  {
    query: `# 1. 가입 — ▶ 버튼을 누르세요.
#    응답의 accessToken은 이 페이지가 기억합니다.
#    EMAIL_TAKEN이 나오면 2번으로 가세요.
#
# 1. Sign up: press ▶. The page remembers
#    the accessToken of the answer.
#    EMAIL_TAKEN? You were here before: go to 2.

mutation Signup {
  signup(
    email: "kim@example.com"
    password: "correct horse battery staple"
  ) {
    user { id email createdAt }
    tokens { accessToken expiresIn }
  }
}
`,
  },
  {
    query: `# 2. 로그인 — 토큰 없이 보냅니다.
#    이 페이지가 새 accessToken을 기억합니다.
#
# 2. Log in: sent without a token.
#    The page remembers the new accessToken.

${login('Login')}`,
  },
  {
    query: `# 3. 나는 누구인가요? — 아래 Headers에서
#    ${placeholder} 자리에 기억한 토큰을
#    넣어 보냅니다. 만료되면 2번부터 다시.
#
# 3. Who am I? In Headers, below, the token
#    takes the place of ${placeholder}.
#    Expired? Start again at 2.

query Me {
  me { id email createdAt }
}
`,
    headers: withToken,
  },
  {
    query: `# 4. 다시 로그인 — 2번과 같지만 토큰과 함께.
#    비밀번호는 확인하지 않고 답합니다:
#    ${alreadyLoggedInMessage('kim@example.com', language)}
#
# 4. Log in again: like 2, but with the token.
#    The password is not even looked at:
#    you are already logged in.

${login('LoginAgain')}`,
    headers: withToken,
  },
]

function login(operation: string): string {
  return `mutation ${operation} {
  login(
    email: "kim@example.com"
    password: "correct horse battery staple"
  ) {
    ... on LoggedIn {
      user { id email }
      tokens { accessToken expiresIn }
    }
    ... on AlreadyLoggedIn { email message }
  }
}
`
}

/** What we add to the page, ahead of GraphiQL; the script in a block, to leave no name behind. */
const head = `<style>
/* GraphiQL leaves a stale offset on its tabs: pressed, they would jump away from the pointer. */
.graphiql-tab { transform: none !important }
</style>
<script>{
  // What is typed here is forgotten when this browser tab closes: other projects that are developed
  // on the same port could read localStorage, and their tabs would appear here.
  Object.defineProperty(window, 'localStorage', { value: sessionStorage })

  // Saves you from carrying tokens by hand: the last access token of any answer is kept, in memory
  // only, and takes the place of ${placeholder} in the Authorization header. Reloading forgets it.
  const send = window.fetch
  let accessToken

  window.fetch = async (url, request) => {
    const headers = new Headers(request.headers)
    const authorization = headers.get('authorization')
    if (authorization?.includes('${placeholder}')) {
      if (accessToken) headers.set('authorization', authorization.replace('${placeholder}', accessToken))
      else if (request.body.includes('IntrospectionQuery')) headers.delete('authorization')
      else return Response.json({ errors: [{ message: hint }] })
    }
    const response = await send(url, { ...request, headers })
    const answer = await response.clone().text()
    accessToken = answer.match(/"accessToken":\\s*"([^"]+)"/)?.[1] ?? accessToken
    return response
  }

  const hint =
    '아직 accessToken이 없어 요청을 보내지 않았습니다. 1번(Signup)이나 2번(Login) 탭을 먼저 실행하세요. / ' +
    'Not sent, for there is no access token yet: run tab 1 (Signup) or 2 (Login) first.'
}</script>`
