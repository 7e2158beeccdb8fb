// Which addresses share a budget.

import { describe, expect, test } from 'bun:test'
import { networkOf } from './address.ts'

describe('an address stands for its network', () => {
  test.each([
    ['192.0.2.1', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::ffff:c000:201', '192.0.2.1'],
    ['0:0:0:0:0:ffff:192.0.2.1', '192.0.2.1'],
    ['2001:db8::1', '2001:db8:0:0::/64'],
    ['2001:0DB8:0:0:ffff:ffff:ffff:ffff', '2001:db8:0:0::/64'],
    ['2001:db8:0:1::1', '2001:db8:0:1::/64'],
    ['2001:db8::1:0:0:0:1', '2001:db8:0:1::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['::', '0:0:0:0::/64'],
    ['64:ff9b::192.0.2.1', '64:ff9b:0:0::/64'],
    ['', ''],
    ['not an address', 'not an address'],
  ])('%s', (address, network) => {
    expect(networkOf(address)).toBe(network)
  })
})

test('a thousand addresses of one /64 are one, of a thousand networks a thousand', () => {
  const count = (addresses: string[]) => new Set(addresses.map(networkOf)).size
  const numbers = Array.from({ length: 1_000 }, (_, i) => i.toString(16))
  expect(count(numbers.map((i) => `2001:db8::${i}:1`))).toBe(1)
  expect(count(numbers.map((i) => `2001:db8:0:${i}::1`))).toBe(1_000)
})
