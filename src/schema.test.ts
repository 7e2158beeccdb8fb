// The printed schema, the settings table and the descriptions are what the code says.

import { describe, expect, test } from 'bun:test'
import { isEnumType, isObjectType } from 'graphql'
import type { Services } from './flows/services.ts'
import { createSchema } from './schema.ts'
import { createTestApp } from './testing/app.ts'
import { generatedDocuments, read } from './testing/documents.ts'

describe('what is generated is up to date (npm run generate)', async () => {
  for (const { path, text } of await generatedDocuments())
    test(path, async () => {
      expect(await read(path)).toBe(text)
    })
})

test('every type, field, argument and value of an enum has a description', () => {
  const own = Object.values(createSchema({} as Services).getTypeMap()).filter(
    (type) => !type.name.startsWith('__'),
  )
  const silent = own.flatMap((type) => [
    ...(type.description ? [] : [type.name]),
    ...(isEnumType(type)
      ? type
          .getValues()
          .filter((v) => !v.description)
          .map((v) => `${type.name}.${v.name}`)
      : []),
    ...(isObjectType(type)
      ? Object.values(type.getFields()).flatMap((field) => [
          ...(field.description ? [] : [`${type.name}.${field.name}`]),
          ...field.args
            .filter((arg) => !arg.description)
            .map((arg) => `${type.name}.${field.name}(${arg.name})`),
        ])
      : []),
  ])
  expect(silent).toEqual([])
})

test('every mutation that takes a password, and refresh, counts as one that checks credentials', () => {
  const mutations = Object.values(
    createSchema({} as Services)
      .getMutationType()
      ?.getFields() ?? {},
  )
  const names = (fields: typeof mutations) => fields.map(({ name }) => name).sort()
  const counted = mutations.filter(({ extensions }) => extensions['checksCredentials'] === true)
  const checking = mutations.filter(
    ({ name, args }) => name === 'refresh' || args.some((arg) => /password/i.test(arg.name)),
  )
  expect(names(checking)).toContain('deleteMe')
  expect(names(counted)).toEqual(names(checking))
})

test('every field that needs an access token says UNAUTHENTICATED, and no other', async () => {
  const app = await createTestApp()
  const schema = createSchema({} as Services)
  const roots = [schema.getQueryType(), schema.getMutationType()]
  const fields = roots.flatMap((type) => Object.values(type?.getFields() ?? {}))
  const code = async ({ name, args }: (typeof fields)[number]) => {
    const given = args.map((arg) => `${arg.name}: "x"`).join(', ')
    const kind = name in (schema.getQueryType()?.getFields() ?? {}) ? 'query' : 'mutation'
    return (await app.run(`${kind} { ${name}${given && `(${given})`} { __typename } }`)).code
  }
  const codes = await Promise.all(fields.map(code))
  const needing = fields.filter((_, index) => codes[index] === 'UNAUTHENTICATED')
  const saying = fields.filter(({ description }) => description?.includes('`UNAUTHENTICATED`'))
  const names = (some: typeof fields) => some.map(({ name }) => name)
  expect(names(needing)).toContain('me')
  expect(names(saying)).toEqual(names(needing))
})

test('no field offers a hint or a secret question (ASVS 6.4.2)', async () => {
  expect(await read('src/schema.graphql')).not.toMatch(/\b(hint|question|passwordHash)\b/i)
})
