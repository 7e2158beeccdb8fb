// Passwords made from what everybody knows about a user: the e-mail address, the name of the service (NIST SP 800-63B-4
// §3.1.1.2, ASVS 6.2.11). What is left without such words must be a password of its own.

import { domainToUnicode } from 'node:url'
import { keysOf } from './korean.ts'

/** Compares as people read: one normal form, no case. */
export function fold(text: string): string {
  return text.normalize('NFC').toLowerCase()
}

/** Shorter words are in every other password by chance. */
const SHORTEST_WORD = 3

/** The words of an e-mail address: all of it, its halves, and their pieces but for the top-level domain. */
export function wordsOfEmail(email: string): string[] {
  const [local = '', domain = ''] = email.split('@')
  return long([email, local, domain, ...local.split(/[.+_-]/), ...labelsOf(domain)])
}

/** The words that name a service: those given, and the labels of its host name. */
export function wordsOfService(names: readonly string[], url: string): string[] {
  const host = URL.canParse(url) ? new URL(url).hostname : ''
  return long([...names, ...labelsOf(host)]).filter((word) => /\p{L}/u.test(word))
}

/** What remains of a password, folded, without these words. */
export function without(password: string, words: readonly string[]): string {
  const longestFirst = [...words].sort((a, b) => b.length - a.length)
  return longestFirst.reduce((text, word) => text.replaceAll(word, ''), fold(password))
}

/** As people read them: 한국은행, which URLs write `xn--3e0bt30ct4jhf`. */
function labelsOf(domain: string): string[] {
  return domainToUnicode(domain).split('.').slice(0, -1)
}

/** The words that are long enough, and those in Hangul also as the keys they are typed with. */
function long(words: readonly string[]): string[] {
  return words
    .map(fold)
    .filter((word) => [...word].length >= SHORTEST_WORD)
    .flatMap((word) => [word, fold(keysOf(word))])
}
