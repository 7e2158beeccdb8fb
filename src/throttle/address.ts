// Which addresses count as one client: an IPv4 address by itself, an IPv6 address by its /64, since one subscriber gets all
// 2⁶⁴ addresses of it.

import { isIP } from 'node:net'

/** The network that an address counts as. What is no address counts as itself. */
export function networkOf(address: string): string {
  const plain = address.replace(/%.*$/, '')
  if (isIP(plain) !== 6) return plain
  const groups = groupsOf(plain)
  const mapped = groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff
  if (mapped) return ipv4Of(groups)
  const network = groups.slice(0, 4).map((group) => group.toString(16))
  return `${network.join(':')}::/64`
}

/** The eight groups of a valid address. */
function groupsOf(address: string): number[] {
  const [head = '', tail] = address.split('::')
  const [before, after] = [numbersOf(head), numbersOf(tail ?? '')]
  const omitted = tail === undefined ? 0 : 8 - before.length - after.length
  return [...before, ...Array<number>(omitted).fill(0), ...after]
}

function numbersOf(part: string): number[] {
  return part
    .split(':')
    .filter((group) => group !== '')
    .flatMap((group) => (group.includes('.') ? halvesOf(group) : Number.parseInt(group, 16)))
}

/** The last 32 bits may be written like an IPv4 address. */
function halvesOf(dotted: string): number[] {
  const [a = 0, b = 0, c = 0, d = 0] = dotted.split('.').map(Number)
  return [a * 256 + b, c * 256 + d]
}

function ipv4Of(groups: readonly number[]): string {
  const bytes = groups.slice(6).flatMap((group) => [group >> 8, group & 255])
  return bytes.join('.')
}
