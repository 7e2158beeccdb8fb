// The passwords that attackers try first: a shipped list (MIT, from the zxcvbn-ts project), alone or with a few signs at the end;
// Korean words with a few digits; dates and mobile numbers; and what anybody could continue: one pattern over and over, a run along
// the digits, an alphabet or the keyboard. Hangul is also read as the keys it is typed with.

import { fold } from './context.ts'
import { KOREAN_RUNS, KOREAN_WORDS, keysOf } from './korean.ts'

/** Says whether a text is among the passwords tried first. */
export type Blocklist = (text: string) => boolean

/** What `12345678`, `hgfedcba` and `qwertyuiop` are cut from. Each counts backwards too, and repeated end to end. */
const RUNS = [
  '1234567890',
  '0123456789',
  'abcdefghijklmnopqrstuvwxyz',
  'qwertyuiop',
  'asdfghjkl',
  ...KOREAN_RUNS,
]
/** What rules about composition have taught people to add to an old password. Fewer than a password has, or they could be one. */
const SIGNS_AT_END = /[^\p{L}\p{N}]{1,7}$/u
/** A day of this century or the last, or a Korean mobile number: there are few, and people near the user know them. */
const KNOWN_NUMBER = /^((19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])|01[016-9]\d{7,8})$/
const BETWEEN_DIGITS = /[-. /]/g
/** No password is shorter, whatever the setting. */
const SHORTEST = 8
/** The longest pattern that counts as one thing typed again: `123123123`, `munjimunji`. */
const LONGEST_PATTERN = 6

/** Reads the list, some 18,000 entries. */
export async function loadBlocklist(): Promise<Blocklist> {
  const list = await import('@zxcvbn-ts/language-common/src/passwords.json', {
    with: { type: 'json' },
  })
  const entries = new Set(list.default.filter((entry) => entry.length >= SHORTEST))
  const runs = RUNS.flatMap((run) => [run, [...run].reverse().join('')])
  return (text) => {
    const folded = fold(text)
    return isCommon(folded) || isCommon(keysOf(folded).toLowerCase())
  }

  function isCommon(text: string): boolean {
    const withoutSigns = text.replace(SIGNS_AT_END, '')
    return (
      entries.has(text) ||
      entries.has(withoutSigns) ||
      isKoreanWord(text) ||
      KNOWN_NUMBER.test(withoutSigns.replaceAll(BETWEEN_DIGITS, '')) ||
      repeats([...text]) ||
      runs.some((run) => run.repeat(1 + Math.ceil(text.length / run.length)).includes(text))
    )
  }
}

/** A word with fewer characters beside it than the shortest password has. */
function isKoreanWord(text: string): boolean {
  const [word = ''] = /\p{L}+/u.exec(text) ?? []
  return KOREAN_WORDS.has(word) && text.length - word.length < SHORTEST
}

function repeats(characters: readonly string[]): boolean {
  for (let period = 1; period <= LONGEST_PATTERN && period * 2 <= characters.length; period += 1)
    if (characters.every((c, at) => at < period || c === characters[at - period])) return true
  return false
}
