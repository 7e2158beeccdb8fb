import { expect, test } from 'bun:test'
import { StacklessError } from './stackless.ts'

class Refused extends StacklessError {
  override readonly name = 'Refused'
}

test('an error that is an answer has a name and a message, and no stack', () => {
  const { name, message, stack } = new Refused('too many')
  expect([name, message, stack]).toEqual(['Refused', 'too many', ''])
})

test('an ordinary error made after it has its stack', () => {
  new Refused()
  expect(new Error('fault').stack).toContain('stackless.test.ts')
})
