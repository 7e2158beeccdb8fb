// The real server under load: its accounts, its sessions, and the requests that each operation consists of.

import { writeFileSync } from 'node:fs'
import { counter, meCount, routeCount } from './counts.ts'
import type { Load } from './drive.ts'
import { refreshBurst } from './load.ts'
import type { Cores } from './machine.ts'
import { makeTokens } from './new-tokens.ts'
import type { RequestLine } from './requests.ts'
import { operation, send, writeRequests } from './requests.ts'
import type { Server, Stage } from './stage.ts'
import { SECRET, SERVE, settings } from './stage.ts'

/** As many accounts as connections, so that no account is used twice at a time. */
export const ACCOUNTS = 16
export const CONNECTIONS = { light: 16, refresh: 8 } as const
/** More than the server remembers (twice 5,000): each comes when it has been forgotten. */
const NEW_TOKENS = 10_500

const JWKS = '/.well-known/jwks.json'
/** No list of common passwords has it. */
const PASSWORD = 'seven willows by the east gate'
const ME = '{ me { id email } }'
const LOGIN =
  'mutation Login($email: String!, $password: String!) { login(email: $email, password: $password) { __typename ... on LoggedIn { user { id email } tokens { accessToken expiresIn } } } }'
const SIGNUP =
  'mutation Signup($email: String!, $password: String!) { signup(email: $email, password: $password) { user { id email } tokens { accessToken refreshToken expiresIn } } }'

/** A user with an open session. */
export interface Account {
  readonly email: string
  readonly accessToken: string
  readonly refreshToken: string
}

/** Starts the real server on a database of its own. `flags`: more arguments for Bun. */
export async function startReal(
  stage: Stage,
  cores: Cores,
  { flags = [], env = {} }: { flags?: readonly string[]; env?: Record<string, string> } = {},
): Promise<Server> {
  return await stage.start({
    args: [...flags, ...SERVE],
    env: { ...settings(stage.path('load.db')), ...env },
    cores: cores.server,
  })
}

/** Signs up the accounts that log in later, one after the other: a loaded server may refuse. */
export async function makeAccounts(url: string, family = 'kim'): Promise<Account[]> {
  const accounts: Account[] = []
  while (accounts.length < ACCOUNTS)
    accounts.push(await signUp(url, `${family}-${accounts.length}@example.com`))
  return accounts
}

/** A server with its accounts, and how it is loaded. */
export interface Plan {
  readonly server: Server
  readonly accounts: readonly Account[]
  /** Those that log in, if others: after a hundred logins the session that others read with would have to go. */
  readonly visitors?: readonly Account[]
  readonly cores: Cores
  /** Logins and signups at once. */
  readonly logins: number
  /** Of the files with the requests: another one for each server. */
  readonly prefix?: string
}

/** The load for each operation of the real server. */
export function createLoads(
  stage: Stage,
  { server, accounts, visitors = accounts, cores, logins, prefix = '' }: Plan,
): Record<'me' | 'jwks' | 'livez' | 'login' | 'signup', Load> {
  const load = (name: string, requests: readonly RequestLine[], counted: Load['counted']) => ({
    server,
    cores: cores.load,
    file: writeRequests(stage.path(`${prefix}${name}.tsv`), requests),
    connections: name === 'login' || name === 'signup' ? logins : CONNECTIONS.light,
    counted,
  })
  const count = (series: string, ...labels: string[]) => counter([server], series, labels)
  const get = (path: string) =>
    load(path.replaceAll('/', '-'), [{ method: 'GET', path }], routeCount(server, path))
  return {
    me: load('me', meRequests(accounts), meCount([server])),
    jwks: get(JWKS),
    livez: get('/livez'),
    login: load(
      'login',
      loginRequests(visitors),
      count('munjigi_logins_total', 'result="success"'),
    ),
    signup: load(
      'signup',
      [operation(SIGNUP, { variables: { email: 'new-{n}@example.com', password: PASSWORD } })],
      count('munjigi_signups_total', 'result="success"'),
    ),
  }
}

/** `me` with the token of each account in turn. */
export function meRequests(accounts: readonly Pick<Account, 'accessToken'>[]): RequestLine[] {
  return accounts.map(({ accessToken }) => operation(ME, { token: accessToken }))
}

/** A login of each account in turn. */
export function loginRequests(accounts: readonly Account[]): RequestLine[] {
  return accounts.map(({ email }) => operation(LOGIN, { variables: { email, password: PASSWORD } }))
}

/** Refreshes every session again and again; each burst goes on where the last one ended. */
export function createRefresh(stage: Stage, accounts: readonly Account[], load: Load) {
  const file = stage.path('refresh.txt')
  writeFileSync(file, accounts.map(({ refreshToken }) => `${refreshToken}\n`).join(''))
  return (seconds: number) =>
    refreshBurst(load, { file, connections: CONNECTIONS.refresh, seconds })
}

/** `me`, each request with a token that the server does not remember. */
export async function loadWithNewTokens(
  stage: Stage,
  accounts: readonly Account[],
  load: Load,
): Promise<Load> {
  const requests = meRequests(await makeNewTokens(stage, accounts, NEW_TOKENS))
  return { ...load, file: writeRequests(stage.path('me-new.tsv'), requests) }
}

/** Tokens of the first account that the server of `startReal` has never seen. */
export async function makeNewTokens(
  stage: Stage,
  accounts: readonly Account[],
  count: number,
): Promise<Array<Pick<Account, 'accessToken'>>> {
  const at = { database: stage.path('load.db'), secret: SECRET }
  const tokens = await makeTokens(count, accounts[0]?.accessToken ?? '', at)
  return tokens.map((accessToken) => ({ accessToken }))
}

async function signUp(url: string, address: string): Promise<Account> {
  const variables = { email: address, password: PASSWORD }
  const text = await (await send(url, operation(SIGNUP, { variables }))).text()
  const [, accessToken] = /"accessToken":"([^"]+)"/.exec(text) ?? []
  const [, refreshToken] = /"refreshToken":"([^"]+)"/.exec(text) ?? []
  if (accessToken === undefined || refreshToken === undefined)
    throw new Error(`no account could be made: ${text}`)
  return { email: address, accessToken, refreshToken }
}
