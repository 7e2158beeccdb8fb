// What may be chosen as a password: not what attackers try first, not what everybody knows about the account.

import { describe, expect, test } from 'bun:test'
import list from '@zxcvbn-ts/language-common/src/passwords.json' with { type: 'json' }
import { AuthError } from '../errors.ts'
import { systemRandom } from '../platform/random.ts'
import { loadBlocklist } from './blocklist.ts'
import { wordsOfService } from './context.ts'
import { keysOf } from './korean.ts'
import { createPasswordPolicy } from './policy.ts'

const policy = createPasswordPolicy({
  minLength: 8,
  blocklist: await loadBlocklist(),
  serviceWords: wordsOfService(['munjigi', '문지기', 'Webshop'], 'https://login.gildong.example'),
  breaches: undefined,
})

function judge(text: string, email = 'min-ji.kim+shop@hanbok.example'): string {
  try {
    policy.choose(text, { field: 'password', email })
    return 'accepted'
  } catch (error) {
    return error instanceof AuthError ? String(error.details.reason) : 'another error'
  }
}

test('the 3,000 most common passwords that are long enough are refused (ASVS 6.2.4)', () => {
  const longEnough = list.filter((entry) => [...entry].length >= 8).slice(0, 3_000)
  expect(longEnough).toHaveLength(3_000)
  expect(new Set(longEnough.map((entry) => judge(entry)))).toEqual(new Set(['common']))
})

describe('common', () => {
  test.each([
    'password',
    'PassWord1',
    'qwer1234',
    '1q2w3e4r5t',
    '12345678',
    '987654321',
    '6789012345',
    'aaaaaaaaaaaaaaaaaaaa',
    '123123123',
    '12345678901234567890',
    '123456789012345678901234567890123',
    'zyxwvutsrqponmlkjihgfedcba'.repeat(3),
    'abcabcabcab',
    'kwzqfjkwzqfj',
    '문지문지문지문지',
    'hijklmnop',
    'poiuytrewq',
    'lkjhgfdsalkj',
    'asdfjkl;',
    'qwer1234!',
    '1q2w3e4r!@#$%^&',
  ])('%s', (text) => {
    expect(judge(text)).toBe('common')
  })

  test.each(['kwzqfjkw', '8204915382'])('but not what only ends as it began: %s', (text) => {
    expect(judge(text)).toBe('accepted')
  })

  test.each(['qwer1234 !#%&()*', 'qwer1234!seoul'])(
    'but not with more behind it than a few signs: %s',
    (text) => {
      expect(judge(text)).toBe('accepted')
    },
  )
})

describe('a date or a mobile number, however it is written', () => {
  test.each([
    '19900101',
    '1990-01-01',
    '2026.11.29!',
    '2026/11/29',
    '01012345678',
    '010-8204-9153',
    '0178204915',
  ])('%s', (text) => {
    expect(judge(text)).toBe('common')
  })

  test.each(['19901301', '18990101', '03082049153', '199001018204'])('but not %s', (text) => {
    expect(judge(text)).toBe('accepted')
  })
})

describe('common in Korea, in Hangul or as its keys', () => {
  test.each([
    'dkssudgktpdy',
    '비밀번호1234',
    '사랑해2026!!',
    'TKFKDGO123',
    '!!eogksalsrnr!!',
    'qlqjs1234',
    'saranghae1!',
    'naver1234',
    '가나다라마바사아자차',
    '가나다라마바사아자차'.normalize('NFD'),
    'rkskekfkakqk',
    'ㄱㄴㄷㄹㅁㅂㅅㅇ',
    'ㅂㅈㄷㄱ1234',
    'ㅂㅉㄷㄲ1234',
    'ㅂㅈㄷㄱ쇼ㅕㅑㅐㅔ',
    'ㅔㅁㄴㄴ재ㄱㅇ1',
  ])('%s', (text) => {
    expect(judge(text)).toBe('common')
  })

  test.each(['사랑해83920174', '안녕하세요 여러분 반갑습니다', 'dkssudgktpdi'])(
    'but not %s',
    (text) => {
      expect(judge(text)).toBe('accepted')
    },
  )

  test('the keys are those of the two-set layout', () => {
    expect(keysOf('안녕하세요 값이닭 꽃뷁 abc')).toBe('dkssudgktpdy rkqtdlekfr Rhcqnpfr abc')
    expect(keysOf('ㄱㅄㅎ ㅏㅢㅣ')).toBe('rqtg kmll')
  })
})

describe('made from the e-mail address or the name of the service (ASVS 6.2.11)', () => {
  test.each([
    'min-ji.kim+shop@hanbok.example',
    'MIN-JI.KIM+SHOP@hanbok.example',
    'min-ji.kim+shopmin-ji.kim+shop',
    'Hanbok2026!',
    'hanbokqwzjkx7',
    'kim1234567',
    'munjigi12345678',
    'Munjigi!!!!!!!!',
    'munjigimunjigi2',
    '문지기1234567',
    'answlrl1234567',
    'ANSWLRL!!!!!!!',
    'webshop-2026',
    'gildong99',
    'hanbokpassword1',
    'hanbok.example1',
  ])('%s', (text) => {
    expect(judge(text)).toBe('context')
  })

  test.each([
    'hanbok and tea in the rain',
    'kimchi stew tonight',
    'hanbokqwzjkx78',
    'the door of munjigi opens',
    // Short pieces are in every other password by chance, and a top-level domain is everybody's.
    'ji in a seoul winter',
    'examples 12',
  ])('but not %s', (text) => {
    expect(judge(text)).toBe('accepted')
  })

  test('the name of a host counts as people read it, however the address writes it', () => {
    const words = wordsOfService([], 'https://login.한국은행.한국')
    expect(words).toContain('한국은행')
    expect(words).toContain('gksrnrdmsgod')
    expect(judge('한국은행1234567', 'kim@xn--3e0bt30ct4jhf.xn--3e0b707e')).toBe('context')
  })

  test('a long word is one word, though a shorter one is the beginning of it', () => {
    expect(judge('hanbokmarket12', 'han@hanbokmarket.example')).toBe('context')
  })

  test('a local part of digits alone counts as well', () => {
    expect(judge('82034567891', '82034567891@students.example')).toBe('context')
    expect(judge('82034567891', '82099999999@students.example')).toBe('accepted')
  })
})

test('there are no rules about composition (ASVS 6.2.5)', () => {
  const random = (letters: string) =>
    Array.from(systemRandom.bytes(20), (byte) => [...letters][byte % [...letters].length]).join('')
  for (const text of [
    random('abcdefghijklmnopqrstuvwxyz'),
    random('0123456789'),
    random('กขคงจชซญฐณดตถทธนบปผฝพฟภมยรลวศษสหอฮ'),
    random('가나다라마바사아자차카타파하'),
    'correct horse battery staple',
    'zzz zzz zz zzzz',
  ])
    expect([text, judge(text)]).toEqual([text, 'accepted'])
})

test('the cheap rules speak first', () => {
  expect(judge('1234567')).toBe('too_short')
  expect(judge('a'.repeat(1_025))).toBe('too_long')
  expect(judge('password\uD800')).toBe('malformed')
})
