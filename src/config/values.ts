// What a setting's text may be, and the value it becomes. Each reader throws a `Fault`, whose message is appended to the name
// of the setting and never holds the text itself.

import { BlockList, isIP } from 'node:net'
import { fileURLToPath } from 'node:url'

/** A text that cannot be a setting's value. */
export class Fault extends Error {}

/** A pattern rather than an origin: what `munjigi dev` allows, for front ends on any local port. */
export const ANY_LOCALHOST = 'http://localhost:*'

/** No access token lives longer than this many seconds, whatever it says. */
export const LONGEST_LIFE = 86_400

/** What the names of all settings begin with. */
export const PREFIX = 'MUNJIGI_'

/** Any text. */
export function text(value: string): string {
  return value
}

/** What a header can hold, line breaks at its end aside. A byte order mark, say, would be a fault of every statement. */
export function headerValue(value: string): string {
  if (!/^[\x20-\x7e]*[\r\n ]*$/.test(value)) throw new Fault(': must be one line of plain ASCII')
  return value
}

/** `[::1]` and `::1` are the same to people, not to sockets. */
export function hostName(value: string): string {
  return value.replace(/^\[(.*)\]$/, '$1')
}

/** Where to get a secret. */
export const RANDOM_TEXT = 'use `openssl rand -base64 48`'

/** Enough bytes, and not all alike. */
export function secretText(value: string): string {
  if (Buffer.byteLength(value) < 32) throw new Fault(': must be at least 32 bytes long')
  if (new Set(value).size < 8) throw new Fault(`: must be random; ${RANDOM_TEXT}`)
  return value
}

/** A whole number within bounds. */
export function integer(least: number, most: number) {
  return (value: string): number => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN
    if (!(number >= least && number <= most))
      throw new Fault(`: must be a whole number from ${least} to ${most}`)
    return number
  }
}

/** Whole seconds from `90s`, `10m`, `12h` or `30d`. A bare number is refused: its unit would be a guess. */
export function duration(least: number, most: number) {
  const units: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400 }
  return (value: string): number => {
    if (value === '0' && least === 0) return 0
    const [, count = '', unit = ''] = /^(\d{1,6})([smhd])$/.exec(value) ?? []
    const seconds = Number(count) * (units[unit] ?? Number.NaN)
    if (!(seconds >= least && seconds <= most))
      throw new Fault(`: must be a duration such as 90s, 10m or 1h, from ${least}s to ${most}s`)
    return seconds
  }
}

/** One of the given words. */
export function oneOf<const T extends string>(...choices: T[]) {
  return (value: string): T => {
    const choice = choices.find((c) => c === value)
    if (choice === undefined) throw new Fault(`: must be one of ${choices.join(', ')}`)
    return choice
  }
}

/** `true` or `false`. */
export function flag(value: string): boolean {
  if (value !== 'true' && value !== 'false') throw new Fault(': must be true or false')
  return value === 'true'
}

/** A URL of a database, without anything secret in it. */
export function databaseUrl(value: string): string {
  if (!/^(?:file:.|https?:\/\/.|libsql:\/\/.)/.test(value))
    throw new Fault(': must start with file:, http://, https:// or libsql://')
  if (!(value.startsWith('file:') ? isPath(value) : URL.canParse(value)))
    throw new Fault(': is not a URL')
  if (/[?&]authToken=|\/\/[^/]*@/i.test(value))
    throw new Fault(
      `: must hold no token or password; that is what ${PREFIX}DATABASE_AUTH_TOKEN is for`,
    )
  if (/^file:(?::memory:|.*[?#])/.test(value))
    throw new Fault(': must be the path of a file; ? is written %3F there, and # %23')
  return value
}

/** The same, of a server. */
export function serverUrl(value: string): string {
  if (value.startsWith('file:'))
    throw new Fault(': must be a server: http://, https:// or libsql://')
  return databaseUrl(value)
}

/** Whether it decodes to a path. A percent sign itself is written %25; two slashes begin a host, which may only be this one. */
function isPath(value: string): boolean {
  try {
    const path = value.startsWith('file://') ? fileURLToPath(value) : decodeURIComponent(value)
    return !path.includes('\0')
  } catch {
    return false
  }
}

/** An issuer is compared byte for byte, so only one spelling of it is accepted. */
export function webUrl(value: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined
  const plain = value.replace(/\/$/, '')
  if (
    !url ||
    !/^https?:$/.test(url.protocol) ||
    url.href.replace(/\/$/, '') !== plain ||
    /[?#@,]/.test(plain)
  )
    throw new Fault(
      ': must be one http(s) URL without query, fragment or user, spelt as browsers send it: the host in lower case, letters beyond ASCII as xn--…, no default port',
    )
  return plain
}

/** The name of an HTTP header. */
export function headerName(value: string): string {
  if (!/^[a-z0-9-]{1,64}$/i.test(value)) throw new Fault(': must be the name of a header')
  return value
}

/** Exact origins, separated by commas. */
export function origins(value: string): readonly string[] {
  for (const origin of list(value))
    if (origin !== ANY_LOCALHOST && !isOrigin(origin))
      throw new Fault(
        ': must be exact origins such as https://app.example.com, separated by commas, letters beyond ASCII as xn--…',
      )
  return list(value)
}

function list(value: string): string[] {
  return value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '')
}

/** An origin as browsers write it. `URL.origin` would not do: it is `null` for the schemes of apps, `capacitor://localhost`. */
function isOrigin(value: string): boolean {
  if (!URL.canParse(value)) return false
  const { protocol, host } = new URL(value)
  return host !== '' && !host.includes('*') && value === `${protocol}//${host}`
}

/** Addresses and networks, separated by commas. */
export function networks(value: string): BlockList {
  const result = new BlockList()
  for (const network of list(value)) addNetwork(result, network)
  return result
}

function addNetwork(result: BlockList, network: string): void {
  const [address = '', bits, ...rest] = network.split('/')
  const family = isIP(address)
  const size = family === 4 ? 32 : 128
  const prefix = bits === undefined ? size : /^\d{1,3}$/.test(bits) ? Number(bits) : Number.NaN
  if (family === 0 || rest.length > 0 || !(prefix <= size))
    throw new Fault(': must be addresses or networks such as 10.0.0.0/8, separated by commas')
  result.addSubnet(address, prefix, family === 4 ? 'ipv4' : 'ipv6')
}
