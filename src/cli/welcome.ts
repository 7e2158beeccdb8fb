// What `munjigi dev` prints: where everything is, what was made, and the walk as commands to paste.

/** What the text tells. */
export interface Welcome {
  readonly url: string
  readonly metricsUrl: string
  readonly wantedPort: number
  readonly port: number
  readonly database: string
  /** Path of the secret if this start made it. */
  readonly madeSecret: string | undefined
  readonly madeSigningKey: boolean
  readonly colour: boolean
}

/** The text, without a final line break. */
export function welcome(facts: Welcome): string {
  const { bold, dim } = facts.colour ? COLOURED : PLAIN
  const moved = facts.wantedPort !== 0 && facts.port !== facts.wantedPort
  const made = [
    ...(facts.madeSecret
      ? [`a secret in ${facts.madeSecret} (keep it: all tokens and keys depend on it)`]
      : []),
    ...(facts.madeSigningKey ? [`a signing key in the database, sealed with the secret`] : []),
  ]
  return [
    '',
    `  ${bold('Munjigi 문지기')} ${dim('for development')}`,
    '',
    ...(moved
      ? [`  ${bold('Note')}      port ${facts.wantedPort} is taken, so this is ${facts.port}`]
      : []),
    `  GraphQL   ${bold(`${facts.url}/graphql`)}  ${dim('open it in a browser for GraphiQL')}`,
    `  Keys      ${facts.url}/.well-known/jwks.json`,
    `  Health    ${facts.url}/readyz`,
    `  Metrics   ${facts.metricsUrl}/metrics`,
    `  Database  ${facts.database}`,
    ...made.map((what) => `  Made      ${what}`),
    '',
    `  ${bold('Try it')} ${dim('– paste these one after the other')}`,
    '',
    ...walk(`${facts.url}/graphql`).flatMap(({ title, command }) => [
      `  ${dim(`# ${title}`)}`,
      `  ${command}`,
      '',
    ]),
    `  ${dim('Ctrl-C stops it.')}`,
    '',
  ].join('\n')
}

/** The walk: four requests, for bash and zsh. The README prints the same commands; a test runs both. */
export function walk(url: string): ReadonlyArray<{ title: string; command: string }> {
  const credentials =
    '"variables":{"email":"kim@example.com","password":"correct horse battery staple"}'
  const arguments_ = '($email:String!,$password:String!)'
  const pass = '(email:$email,password:$password)'
  const call = (body: string, header = '') =>
    `curl -s ${url} -H 'content-type: application/json'${header} -d '${body}'`
  const bearer = ' -H "authorization: Bearer $TOKEN"'
  const login = `{"query":"mutation${arguments_}{login${pass}{__typename ... on LoggedIn{user{email} tokens{accessToken}} ... on AlreadyLoggedIn{message}}}",${credentials}}`
  return [
    {
      title: '1. sign up',
      command: call(
        `{"query":"mutation${arguments_}{signup${pass}{user{id email} tokens{expiresIn}}}",${credentials}}`,
      ),
    },
    {
      title: '2. log in and keep the token',
      command: `TOKEN=$(${call(login)} | sed -E 's/.*"accessToken":"([^"]*)".*/\\1/')`,
    },
    { title: '3. who am I?', command: call('{"query":"{me{id email createdAt}}"}', bearer) },
    { title: '4. log in again, with the token', command: call(login, bearer) },
  ]
}

const PLAIN = { bold: (text: string) => text, dim: (text: string) => text }
const COLOURED = {
  bold: (text: string) => `\u001b[1m${text}\u001b[0m`,
  dim: (text: string) => `\u001b[2m${text}\u001b[0m`,
}
