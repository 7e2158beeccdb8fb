// What `munjigi dev` tells of what differs from start to start; the walk is run by e2e/readme.test.ts.

import { expect, test } from 'bun:test'
import { welcome } from './welcome.ts'

const told = (facts: Partial<Parameters<typeof welcome>[0]> = {}) =>
  welcome({
    url: 'http://127.0.0.1:3000',
    metricsUrl: 'http://127.0.0.1:9464',
    wantedPort: 3_000,
    port: 3_000,
    database: 'file:./data/munjigi.db',
    madeSecret: undefined,
    madeSigningKey: false,
    colour: false,
    ...facts,
  })

test.each([
  ['the wanted port is not mentioned', { wantedPort: 3_000, port: 3_000 }, null],
  ['no port is mentioned where any would do', { wantedPort: 0, port: 41_234 }, null],
  [
    'another port than the wanted one is mentioned',
    { wantedPort: 3_000, port: 3_001 },
    'port 3000 is taken, so this is 3001',
  ],
])('%s', (_, ports, note) => {
  expect(/Note +(.*)$/m.exec(told(ports))?.[1] ?? null).toBe(note)
})

test('what this start made is listed, and nothing that was there before', () => {
  const made = (text: string) => text.split('\n').filter((line) => line.includes('Made'))
  expect(made(told())).toEqual([])
  expect(made(told({ madeSecret: 'data/secret', madeSigningKey: true }))).toEqual([
    expect.stringContaining('data/secret'),
    expect.stringContaining('a signing key'),
  ])
})

test('colours are for terminals only', () => {
  expect(told()).not.toContain('\u001b')
  expect(told({ colour: true })).toContain('\u001b[1mMunjigi')
})
